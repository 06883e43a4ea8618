"""`python -m evalsuite`: the command line."""

from evalsuite.cli import main

main()
