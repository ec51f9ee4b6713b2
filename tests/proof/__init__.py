"""Long runs with an exact verdict, whose figures are in docs/PROOF.md: `python -m tests.proof`."""
