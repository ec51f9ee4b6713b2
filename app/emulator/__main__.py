"""`python -m app.emulator`: the fake vendor alone."""

from __future__ import annotations

import sys

from app.emulator import main

if __name__ == "__main__":
    sys.exit(main())
