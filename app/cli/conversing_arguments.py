"""The options of `chat`, `test` and `replay`: apart from what these load."""

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


def add_chat_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `chat`."""
    parser.add_argument("--url", help="the gateway's address; default: this configuration's")
    parser.add_argument("--agent", help="the agent's name; default: the gateway's default one")
    parser.add_argument(
        "--ticket",
        help="a ticket; default: one is minted if RELAY_SERVICE_TOKENS is set, else none is sent",
    )


def add_replay_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `replay`."""
    parser.add_argument("conversation", help="its id, in the gateway's history")
    parser.add_argument(
        "--url", help="the gateway whose history has it; default: this configuration's"
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--against", metavar="URL", help="another gateway to talk to")
    target.add_argument(
        "--emulator", action="store_true", help="talk to the emulator, by a gateway of its own"
    )
    parser.add_argument("--agent", help="another agent than the recorded one")
    parser.add_argument(
        "--same-data",
        action="store_true",
        help="give the agent the recorded additionalData again, as verified",
    )
    parser.add_argument(
        "--settle",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="silence after which an answer that differs counts as over (default 2)",
    )
    parser.add_argument(
        "--within",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long an answer is waited for (default 30)",
    )
