"""The benchmark, which `invoke bench` runs: make.bash and the direct build side by side, in one run on one machine.

A release, a target and a number of rounds come in; ratios with their spread go out, as a table, as JSON, as a picture
and as text for the README. What it does not do: it holds nobody to its limits. What is over a limit is shown so.
"""
