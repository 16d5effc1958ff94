"""Run the command line as ``python -m guardrail.cli``."""

from guardrail.cli import main

main()
