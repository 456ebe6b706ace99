"""`python -m gobuild` is the `gobuild` program."""

from gobuild.cli import main

main()
