"""`python -m veridical`."""

from veridical.cli.main import main

main()
