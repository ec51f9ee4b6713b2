"""What a terminal is shown: no control character of anyone else's, colours only where they work."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

# C0 and C1 controls but tab and line feed, and the marks that turn the direction of writing.
UNSHOWN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
RED, GREEN, YELLOW, BOLD, DIM = "31", "32", "33", "1", "2"


def printable(text: str) -> str:
    r"""A text with its control characters written out, as `\x1b`."""
    return UNSHOWN.sub(lambda found: ascii(found[0])[1:-1], text)


class Style:
    """Colours for a stream; none where it is no terminal, or `NO_COLOR` is set."""

    def __init__(self, stream: TextIO) -> None:
        self.colored = stream.isatty() and not os.environ.get("NO_COLOR")

    def __call__(self, text: str, *codes: str) -> str:
        """A text in these colours."""
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if self.colored and codes else text
