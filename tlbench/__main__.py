"""`python -m tlbench` is the command line."""

from tlbench.cli import main

main()
