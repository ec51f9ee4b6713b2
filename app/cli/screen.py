"""A conversation on a terminal, line by line; a partial text is one line that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.cli.conversing.observed import (
    Closed,
    Error,
    Event,
    Result,
    Text,
    ToolAnswer,
    ToolCall,
)
from app.cli.scenarios.judge import compact
from app.cli.terminal import BOLD, DIM, GREEN, RED, YELLOW, Style, printable

if TYPE_CHECKING:
    from typing import TextIO

    from app.cli.conversing.observed import Observed

NORMAL: Final = 1000
QUIET_EVENTS: Final = frozenset({"relay.session"})


class Screen:
    """What is said and what happens, on a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._style = Style(stream)
        self._lively = stream.isatty()
        self._partial = False
        self._calls: set[str] = set()

    def show(self, seen: Observed) -> None:
        """Show what happened; the user's own words are not shown again."""
        if isinstance(seen, Text):
            self._said(seen)
            return
        if isinstance(seen, ToolCall):
            if seen.id in self._calls:
                return
            self._calls.add(seen.id)
        if (told := _note(seen)) is not None:
            self.note(*told)

    def note(self, text: str, *codes: str) -> None:
        """Show what is not said."""
        self.line(self._style(printable(text), *codes))

    def line(self, text: str) -> None:
        """Write a line, in the place of a partial text if there is one."""
        clear = "\r\x1b[K" if self._partial else ""
        self._partial = False
        print(f"{clear}{text}", file=self._stream, flush=True)

    def _said(self, seen: Text) -> None:
        """A final text is a line; a partial one is, until the next, where lines can change."""
        source, text = printable(seen.source), printable(seen.text)
        if seen.final and seen.source != "user":
            self.line(f"{self._style(f'{source}:', BOLD)} {text}")
        elif not seen.final and self._lively:
            changing = " ".join(text.split())
            line = f"\r\x1b[K{self._style(f'{source}:', DIM)} {changing} …"
            print(line, end="", file=self._stream, flush=True)
            self._partial = True


def _note(seen: Observed) -> tuple[str, str] | None:
    """What is shown of anything but a text, and how; None for what is not."""
    match seen:
        case ToolCall(_, name, args):
            return f"[tool] {name} {compact(args)}", YELLOW
        case ToolAnswer(_, name, result):
            return f"[tool] {name} → {compact(result)}", YELLOW
        case Event(name, data) if name not in QUIET_EVENTS:
            return f"[event] {name}" + ("" if data is None else f" {compact(data)}"), DIM
        case Result(status):
            return f"[result] {status}", DIM
        case Error(message):
            return f"[error] {message}", RED
        case Closed(code, sentence):
            return f"{code}: {sentence}", GREEN if code == NORMAL else RED
    return None
