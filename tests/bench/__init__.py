"""The benchmark, which `invoke bench` runs: make.bash and the direct build side by side, in one run on one machine."""
