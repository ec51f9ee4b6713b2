"""Cases of RFC 6455 as data: frames in; expected frames, and the code of the close, out.

The numbers follow the sections of Autobahn|Testsuite; the octets are this table's own, from the
text of RFC 6455 and RFC 3629. The peer under test echoes messages. A case whose frames neither
close nor fail the connection is ended by its runner with a close of 1000.

`differs` names where a library, as a parser of the same octets, does not do what the table expects,
and what its verdict is instead: the frames that it delivers, and the close code (None: none yet).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tests.websocket.peers import BINARY, CLOSE, CONT, PING, PONG, TEXT

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_MESSAGE = 1 << 20
MAX_FRAGMENTS = 4096
NO_CODE = 1005


class Frame(NamedTuple):
    """One frame as it is sent: RFC 6455 §5.2. `right_mask` is false for a breach of §5.1."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    reserved: int = 0
    right_mask: bool = True


Message = tuple[int, bytes]


class Verdict(NamedTuple):
    """Frames that come back or are delivered, and the close code; None: the connection is open."""

    frames: tuple[Message, ...]
    close: int | None


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `chop` is the size in octets of each write (0: one write)."""

    id: str
    clause: str
    sent: tuple[Frame, ...]
    expected: tuple[Message, ...] = ()
    close: int = 1000
    chop: int = 0
    differs: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def ends_itself(self) -> bool:
        """Whether the frames close or fail the connection: the runner must add no close."""
        return self.close != 1000 or any(frame.opcode == CLOSE for frame in self.sent)


def close(code: int, reason: bytes = b"") -> Frame:
    return Frame(CLOSE, code.to_bytes(2, "big") + reason)


def fragments(opcode: int, payload: bytes, size: int) -> tuple[Frame, ...]:
    """A message in fragments of this many octets (§5.4)."""
    starts = range(0, len(payload), size)
    return tuple(
        Frame(CONT if start else opcode, payload[start : start + size], start == starts[-1])
        for start in starts
    )


KINDS = ((1, TEXT), (2, BINARY))
SIZES = (0, 125, 126, 127, 128, 65535, 65536)

FRAMING = [
    *(
        Case(f"1.{kind}.{n}", "5.2", (Frame(op, b"*" * size),), ((op, b"*" * size),))
        for kind, op in KINDS
        for n, size in enumerate(SIZES, 1)
    ),
    *(
        Case(f"1.{kind}.8/{n}", "5.2", (Frame(op, b"*" * n),), ((op, b"*" * n),), chop=1)
        for kind, op in KINDS
        for n in (0, 125, 126, 300)
    ),
    *(
        Case(f"1.{kind}.8/{c}", "5.2", (Frame(op, b"*" * 65536),), ((op, b"*" * 65536),), chop=c)
        for kind, op in KINDS
        for c in (997, 1301)
    ),
    Case("1.3.1", "5.1", (Frame(TEXT, b"mask", right_mask=False),), close=1002),
    Case("1.3.2", "5.1", (Frame(PING, b"mask", right_mask=False),), close=1002),
]

PAYLOAD = bytes((0, 255, 254, 253, 252, 251, 0, 255))
TEN = tuple(b"payload-%d" % n for n in range(10))
PINGS = [
    Case("2.1", "5.5.2", (Frame(PING),), ((PONG, b""),)),
    Case("2.2", "5.5.3", (Frame(PING, b"Hello"),), ((PONG, b"Hello"),)),
    Case("2.3", "5.5.3", (Frame(PING, PAYLOAD),), ((PONG, PAYLOAD),)),
    Case("2.4", "5.5", (Frame(PING, b"\xfe" * 125),), ((PONG, b"\xfe" * 125),)),
    Case("2.5", "5.5", (Frame(PING, b"\xfe" * 126),), close=1002),
    Case("2.6", "5.5.3", (Frame(PING, b"\xfe" * 125),), ((PONG, b"\xfe" * 125),), chop=1),
    Case("2.7", "5.5.3", (Frame(PONG),)),
    Case("2.8", "5.5.3", (Frame(PONG, b"unsolicited"),)),
    Case("2.9", "5.5.3", (Frame(PONG, b"no"), Frame(PING, b"yes")), ((PONG, b"yes"),)),
    *(
        Case(
            f"2.{number}",
            "5.5.3",
            tuple(Frame(PING, payload) for payload in TEN),
            tuple((PONG, payload) for payload in TEN),
            chop=chop,
        )
        for number, chop in ((10, 0), (11, 1))
    ),
]

HELLO = (TEXT, b"Hello")
RESERVED_BITS = [
    *(
        Case(f"3.{bits}/{name}", "5.2", (Frame(op, b"x", reserved=bits),), close=1002)
        for bits in range(1, 8)
        for name, op in (("text", TEXT), ("binary", BINARY), ("ping", PING), ("pong", PONG))
    ),
    *(
        Case(
            f"3.8/{chop}",
            "5.2",
            (Frame(*HELLO), Frame(TEXT, b"x", reserved=4), Frame(PING)),
            (HELLO,),
            1002,
            chop,
        )
        for chop in (0, 1)
    ),
    Case("3.9", "5.2", (Frame(CLOSE, b"\x03\xe8", reserved=4),), close=1002),
    Case("3.10", "5.2", (Frame(TEXT, b"a", fin=False), Frame(CONT, b"b", reserved=4)), close=1002),
]

OPCODES = [
    *(
        Case(f"4.{group}.{op}/{len(payload)}", "5.2", (Frame(op, payload),), close=1002)
        for group, opcodes in ((1, range(3, 8)), (2, range(11, 16)))
        for op in opcodes
        for payload in (b"", b"reserved opcode")
    ),
    *(
        Case(f"4.3.{op}", "5.2", (Frame(*HELLO), Frame(op), Frame(PING)), (HELLO,), 1002, chop)
        for op, chop in ((5, 0), (7, 1), (13, 0), (15, 1))
    ),
]

FIRST, LAST = Frame(TEXT, b"one", fin=False), Frame(CONT, b"two")
ONETWO = (TEXT, b"onetwo")
FRAGMENTS = [
    Case("5.1", "5.5", (Frame(PING, b"on", fin=False), Frame(CONT, b"off")), close=1002),
    Case("5.2", "5.5", (Frame(PONG, b"on", fin=False), Frame(CONT, b"off")), close=1002),
    Case("5.2/close", "5.5", (Frame(CLOSE, b"\x03\xe8", fin=False),), close=1002),
    *(Case(f"5.{3 + chop}", "5.4", (FIRST, LAST), (ONETWO,), chop=chop) for chop in (0, 1, 2)),
    *(
        Case(
            f"5.{6 + chop}",
            "5.4",
            (FIRST, Frame(PING, b"in"), LAST),
            ((PONG, b"in"), ONETWO),
            chop=chop,
        )
        for chop in (0, 1, 2)
    ),
    Case("5.6/pong", "5.4", (FIRST, Frame(PONG, b"in"), LAST), (ONETWO,)),
    *(
        Case(f"5.{number}", "5.4", (Frame(CONT, b"x", fin), Frame(*HELLO)), (), 1002, chop)
        for number, fin, chop in (
            (9, True, 0),
            (10, True, 1),
            (11, True, 2),
            (12, False, 0),
            (13, False, 1),
            (14, False, 2),
        )
    ),
    Case("5.15", "5.4", (FIRST, LAST, Frame(CONT, b"x", fin=False)), (ONETWO,), 1002),
    Case("5.16", "5.4", (Frame(CONT, b"x", fin=False), FIRST, LAST), close=1002),
    Case("5.17", "5.4", (Frame(CONT, b"x"), FIRST, LAST), close=1002),
    Case("5.18", "5.4", (FIRST, Frame(TEXT, b"two")), close=1002),
    Case("5.18/binary", "5.4", (FIRST, Frame(BINARY, b"two")), close=1002),
    *(
        Case(
            f"5.{number}",
            "5.4",
            (
                *(FIRST, Frame(CONT, b"two", fin=False), Frame(PING, b"1")),
                *(Frame(CONT, b"three", fin=False), Frame(PING, b"2"), Frame(CONT, b"four")),
            ),
            ((PONG, b"1"), (PONG, b"2"), (TEXT, b"onetwothreefour")),
            chop=chop,
        )
        for number, chop in ((19, 0), (20, 1))
    ),
    Case(
        "5.21/empty",
        "5.4",
        (Frame(TEXT, fin=False), Frame(CONT, fin=False), Frame(CONT)),
        ((TEXT, b""),),
    ),
    Case("5.22/binary", "5.4", fragments(BINARY, PAYLOAD, 3), ((BINARY, PAYLOAD),)),
]

# 123 octets are the most that a control frame leaves for a reason (§5.5).
VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
INVALID_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
BYE = close(1000)
CLOSES = [
    Case("7.1.1", "5.5.1", (Frame(*HELLO), BYE), (HELLO,)),
    Case("7.1.2", "5.5.1", (BYE, close(1001))),
    Case("7.1.3", "5.5.1", (BYE, Frame(PING))),
    Case("7.1.4", "5.5.1", (BYE, Frame(*HELLO))),
    # A close may come between fragments like any control frame (§5.4).
    Case("7.1.5", "5.4", (FIRST, BYE, LAST), differs={"websockets": Verdict((), 1002)}),
    Case(
        "7.1.6",
        "5.5.1",
        (Frame(TEXT, b"a" * 262144), Frame(*HELLO), BYE, Frame(PING)),
        ((TEXT, b"a" * 262144), HELLO),
    ),
    Case("7.3.1", "7.1.5", (Frame(CLOSE),), close=NO_CODE),
    Case("7.3.2", "5.5.1", (Frame(CLOSE, b"a"),), close=1002),
    Case("7.3.3", "5.5.1", (BYE,)),
    Case("7.3.4", "5.5.1", (close(1000, b"Hello"),)),
    Case("7.3.5", "5.5", (close(1000, b"*" * 123),)),
    Case("7.3.6", "5.5", (close(1000, b"*" * 124),), close=1002),
    Case("7.3.7", "5.5.1", (close(1001, b"chopped"),), close=1001, chop=1),
    Case("7.5.1", "8.1", (close(1000, b"\xce\xba\xed\xa0\x80"),), close=1007),
    Case("7.5.2", "8.1", (close(1000, b"\xf4\x90\x80\x80"),), close=1007),
    Case("7.5.3", "8.1", (close(1000, "κόσμε".encode()),)),
    *(Case(f"7.7.{n}", "7.4", (close(code),), close=code) for n, code in enumerate(VALID_CODES, 1)),
    *(
        Case(f"7.8.{n}", "7.4", (close(code, b"why"),), close=code)
        for n, code in enumerate(VALID_CODES, 1)
    ),
    *(
        Case(f"7.9.{n}", "7.4", (close(code),), close=1002)
        for n, code in enumerate(INVALID_CODES, 1)
    ),
    *(
        Case(f"7.10.{n}", "7.4", (close(code, b"why"),), close=1002)
        for n, code in enumerate(INVALID_CODES, 1)
    ),
]


def _limits(number: int, op: int) -> list[Case]:
    sizes = (65536, 262144, MAX_MESSAGE)
    whole = [
        Case(f"9.{number}.{n}", "5.2", (Frame(op, b"*" * size),), ((op, b"*" * size),))
        for n, size in enumerate(sizes, 1)
    ]
    parts = [
        Case(
            f"9.{number + 2}.{n}",
            "5.4",
            fragments(op, b"*" * 262144, size),
            ((op, b"*" * 262144),),
        )
        for n, size in enumerate((64, 256, 1024, 4096, 16384, 65536), 1)
    ]
    chopped = [
        Case(
            f"9.{number + 4}.{n}",
            "5.2",
            (Frame(op, b"*" * 262144),),
            ((op, b"*" * 262144),),
            chop=chop,
        )
        for n, chop in enumerate((512, 1024, 2048), 1)
    ]
    # The bounds are this gateway's (§10.4): wsproto has none, websockets none for fragments.
    large, many = (op, b"*" * (MAX_MESSAGE + 1)), (op, b"*" * (MAX_FRAGMENTS + 1))
    unbounded = {"wsproto": Verdict((large,), None)}
    uncounted = {name: Verdict((many,), None) for name in ("websockets", "wsproto")}
    over = [
        Case(f"9.{number}.9", "10.4", (Frame(*large),), close=1009, differs=unbounded),
        Case(f"9.{number + 2}.8", "10.4", fragments(*large, 65536), close=1009, differs=unbounded),
        Case(f"9.{number + 2}.9", "10.4", fragments(*many, 1), close=1009, differs=uncounted),
    ]
    return whole + parts + chopped + over


LIMITS = [
    *_limits(1, TEXT),
    *_limits(2, BINARY),
    Case(
        "9.7.1",
        "5.4",
        tuple(Frame(TEXT, b"%d" % n) for n in range(1000)),
        tuple((TEXT, b"%d" % n) for n in range(1000)),
    ),
    Case(
        "9.8.1",
        "5.4",
        tuple(Frame(BINARY, b"%d" % n) for n in range(1000)),
        tuple((BINARY, b"%d" % n) for n in range(1000)),
    ),
]
LONG = "Hello-µ@ßöäüàá-UTF-8!!".encode() * 2400
FRAGMENTATION = [
    Case("10.1.1", "5.4", fragments(TEXT, b"*" * 65536, 1300), ((TEXT, b"*" * 65536),)),
    Case("10.1.2", "5.4", fragments(TEXT, LONG, 1301), ((TEXT, LONG),)),
    Case("10.1.3", "5.4", fragments(BINARY, PAYLOAD * 8192, 1300), ((BINARY, PAYLOAD * 8192),)),
]
