"""Frames that are nearly right, from a seed: the members that come up, and bytes gone wrong.

The members of some are in any order, and some have white space as several writers of JSON set it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol.frames import ENVELOPE, KNOWN_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

EVENTS = tuple(
    (b'"type":"event"', b'"name":"%s"' % name.encode())
    for name in (*sorted(KNOWN_EVENTS), "surprise", "relay.resumed", "open\\u0065d", "opened ")
)
HEADS = (
    *((b'"type":"text"',) for _ in range(4)),
    *((b'"type":"incomingChatMessage"',) for _ in range(4)),
    *EVENTS,
    *((b'"type":"%s"' % kind,) for kind in (b"event", b"toolCall", b"toolCallResult", b"error")),
    *((b'"type":"%s"' % kind,) for kind in (b"conversationResult", b"sdpInvite", b"surprise")),
    (b'"type":"relay.received"', b'"count":0'),
    (b'"a":1',),
    (b"",),
)
# Of a secret that no browser may be shown, as it is and in other spellings.
SECRET = b"canary+key"
SECRETS = (
    *(b'"%s"' % SECRET, b'"it is %s."' % SECRET, b'{"note":"%s"}' % SECRET),
    *(b'"canary\\u002bkey"', b'"canary\\u002Bkey"', b'{"c\\u0061nary+key":1}'),
    *(b'[{"a":"canary\\u002Bkey"}]', b'"canary+ke"', b'"\\\\u002bcanary"', b'"canary", "+key"'),
)
WHOLE = (b'"type":"incomingChatMessage"', b'"timestamp":"t"', b'"content":"hello"')
# What stands behind an opening brace, behind a comma, behind a colon, and before a closing brace.
SPACES = (
    (b"", b", ", b": ", b""),
    (b"\n  ", b",\n  ", b": ", b"\n"),
    (b"\r\n\t", b" ,\r\n\t", b"\t:\t", b"\r\n"),
    (b"", b",", b":", b" \n"),
    (b"\x0b", b",", b":", b""),
)
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
    *(b'"\\ud83d\\ude00"', b'"\\ude00\\ud83d"', b'"\\ud83d\\u0041"', b'"\\\\\\\\"', b'"\\\\\\""'),
    *(b'"\\u12g4"', b'"\\u12"', b'"\\uD7ff\\uE000"', '"ß—€𐍈"'.encode()),
    *(b"1e5", b"-0.5E-9", b"1e999", b"1e100", b"9" * 250, b"1.", b"-", b".5", b"1e", b"+1"),
    *(b'[1, {"a" : [ ] },{"b":[[]]}]', b"[" * 70 + b"]" * 70, b'{"a":' * 66 + b"1" + b"}" * 66),
    *SECRETS,
    *(b'"opened"', b'"connection"', b'"closed"', b'"failedOpen"', b'{"message":"Invalid token"}'),
    *(b"[1,]", b"[1}", b'{"a":1]', b"[1 2]", b'[{"a":1 ,"b" :2}]', b"[true,false,null]"),
    *(b'"\xf0\x9f\x98"', b'"\xc3"', b'"\xc0\x80"', b'"\xf5\x80\x80\x80"', b'"\xe0\x80\x80"'),
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
        usual = random.random() < 0.6
        opening, comma, colon, closing = (
            (b"", b",", b":", b"") if usual or random.random() < 0.3 else random.choice(SPACES)
        )
        members = [
            *(member.replace(b":", colon, 1) for member in head),
            *(
                _of(random, KEYS, USUAL_KEYS) + colon + _of(random, VALUES, USUAL_VALUES)
                for _ in range(random.randrange(2 if head is WHOLE else 5))
            ),
        ]
        if not usual:
            random.shuffle(members)
        payload = bytearray(b"{" + opening + comma.join(members) + closing + b"}")
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
