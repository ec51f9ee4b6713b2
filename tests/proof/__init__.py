"""Long runs with an exact verdict, whose figures stand in docs/PROOF.md: `python -m tests.proof`."""
