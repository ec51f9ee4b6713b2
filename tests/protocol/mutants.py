"""Frames that are nearly right, from a seed: the members that come up, and bytes gone wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol.frames import ENVELOPE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

HEADS = (b'{"type":"text"', b'{"type":"incomingChatMessage"', b'{"type":"event"', b'{"a":1', b"{")
WHOLE = b'{"type":"incomingChatMessage","timestamp":"t","content":"hello"'
USUAL = ("timestamp", "channelId", "content")
KEYS = (
    *(b'"%s"' % member.encode() for member in (*USUAL, *sorted(ENVELOPE - set(USUAL)))),
    *(b'"more"', b'""', b'"c\\u006fntent"', b"content"),
)
VALUES = (
    *(b'"2026-01-01T00:00:00Z"', b'"hello"', b'"a:b,{}"', '"é😀"'.encode(), b'""', b'"x\\ny"'),
    *(b'"a\\"b\\\\"', b'{"x\\ty":"\\\\"}', b'"\\u00e9\\n"', b'"\\ud83d"', b'"\\a"', b'"\\\\\\"'),
    b'"' + b"words and \\n" * 9 + b'"',
    *(b"null", b"true", b"false", b"nul", b"0", b"7", b"01", b"1.5", b"-1", b"9" * 15, b"9" * 16),
    *(b"{}", b'{"source":"user","text":"hi"}', b'{"a":{"b":1}}', b'{"a":{"b":{"c":{}}}}', b"[]"),
    *(b'{"a":1,"a":2}', b"{,}", b'{"a"}', b'{"a":1,}', b"[[1]]", b'"relay.resumed"', b"NaN"),
    *(
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\x00"',
        b'"\x7f"',
        b'"tab\t"',
        b"",
        b'"' + b"z" * 300 + b'"',
    ),
)
BYTES = (*b'"{}[],:\\ \n\t\x00\x1f\x7f\x80\xff09-+.eEntf',)
USUAL_KEYS, USUAL_VALUES = len(USUAL), 2


def mutants(random: Random, count: int) -> Iterator[bytes]:
    """Make `count` frames; about one in six is right."""
    for _ in range(count):
        head = WHOLE if random.random() < 0.2 else random.choice(HEADS)
        members = [
            _of(random, KEYS, USUAL_KEYS) + b":" + _of(random, VALUES, USUAL_VALUES)
            for _ in range(random.randrange(2 if head is WHOLE else 5))
        ]
        payload = bytearray(b",".join((head, *members)) + b"}")
        if random.random() < 0.4:
            for _ in range(random.randrange(1, 3)):
                _harm(random, payload)
        yield bytes(payload)


def _of(random: Random, tokens: tuple[bytes, ...], usual: int) -> bytes:
    """Choose one; every other time a usual one."""
    return random.choice(tokens[:usual] if random.random() < 0.5 else tokens)


def _harm(random: Random, payload: bytearray) -> None:
    at = random.randrange(len(payload) + 1)
    what = random.randrange(4)
    if what == 0:
        payload[at : at + 1] = bytes((random.choice(BYTES),))
    elif what == 1:
        del payload[at : at + random.randrange(1, 4)]
    elif what == 2:
        payload[at:at] = bytes((random.choice(BYTES),))
    else:
        payload[at:at] = payload[at : at + random.randrange(1, 30)]
