"""The options of `blackbox-relay test`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_test_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `test`."""
    parser.add_argument(
        "files", nargs="*", metavar="FILE", type=Path, help="scenarios in YAML, or folders of them"
    )
    parser.add_argument(
        "--url",
        help="a gateway that runs; default: one of its own, before the emulator if no key is set",
    )
    parser.add_argument("--junit", metavar="OUT", type=Path, help="write JUnit XML, too")
    parser.add_argument("--repeat", metavar="N", type=int, default=1, help="play each N times")
    parser.add_argument(
        "--min-pass-rate",
        metavar="RATE",
        type=float,
        default=1.0,
        help="the share of runs of each scenario that has to hold, 0 to 1 (default 1)",
    )
    parser.add_argument(
        "--record",
        metavar="CONVERSATION",
        help="write a scenario of this conversation of the gateway's history to FILE, or print it",
    )
