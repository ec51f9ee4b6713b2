"""What Atheris runs: bytes for the frame parsers of both roles and for the codec of messages.

`python -m tests.proof.guided [option of libFuzzer ...]`. It measures the coverage of the Python
sources, so it says nothing of a compiled build's machine code.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(
    include=["app.websocket", "app.protocol"], enable_loader_override=False
):
    from app.protocol.codec import DecodeError, decode_strictly
    from app.protocol.fast_path import is_simple_message, simple_type
    from tests.websocket.listeners import Heard

from tests.protocol import reference_json


def one(data: bytes) -> None:
    """Feed one input to all of them; whatever is raised, is found."""
    for server in (False, True):
        whole, cut = Heard(server=server).feed(data), Heard(server=server)
        middle = len(data) // 2
        cut.feed(data[:middle]).feed(data[middle:])
        assert (whole.events, whole.verdict) == (cut.events, cut.verdict)
    simple_type(data)
    is_simple_message(data)
    try:
        decode_strictly(data)
        good = True
    except DecodeError:
        good = False
    try:
        reference_json.read(data)
        expected = True
    except reference_json.NotStrict:
        expected = False
    assert good is expected


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
