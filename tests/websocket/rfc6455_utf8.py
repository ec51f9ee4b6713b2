"""Cases of text that is and is not UTF-8 (RFC 6455 §8.1, RFC 3629 §3 and §4), as data."""

from __future__ import annotations

from tests.websocket.peers import CONT, PING, TEXT
from tests.websocket.rfc6455_cases import Case, Frame, Verdict, fragments

# By section of the table: octets in hexadecimal.
VALID = {
    "6.2": "48656c6c6f2dc2b540c39fc3b6c3a4c3bcc3a0c3a12d5554462d382121",
    "6.5": "cebae1bdb9cf83cebcceb5",
    # First and last code point of each length
    "6.7": "00 7f c280 dfbf e0a080 efbfbf f0908080 f48fbfbf",
    # Around the surrogates, the replacement character
    "6.11": "ed9fbf ee8080 efbfbd",
    # Noncharacters are code points like others
    "6.22": "efbfbe efb790 efb7af f09fbfbe f09fbfbf f0afbfbe f0bfbfbf f18fbfbe f1bfbfbf f2afbfbe "
    "f3bfbfbf f48fbfbe",
    "6.23": "efbfb9 efbfba efbfbb efbfbc e2808b efbbbf",
}
INVALID = {
    "6.3": "cebae1bdb9cf83cebcceb5eda080656469746564 cebaff656469746564",
    # Above U+10FFFF, and lengths of five and six octets
    "6.8": "f4908080 f5808080 f7bfbfbf f888808080 fbbfbfbfbf fc8480808080 fdbfbfbfbfbf",
    # Continuation octets without a start
    "6.12": "80 bf 80bf 80bf80 80bf80bf 80818283848586878889 61bf62",
    # A start without its continuation
    "6.13": "c220 df20 e020 ef20 f020 f420 f820 fc20 c2c2 e0a0c2",
    "6.14": "c2 df e0 e0a0 efbf f0 f090 f09080 f48fbf e0a041 f0908041",
    "6.15": "c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf",
    "6.16": "fe ff fefeffff",
    # Overlong: '/', the last of each shorter length, NUL
    "6.17": "c0af e080af f08080af f8808080af fc80808080af",
    "6.18": "c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf",
    "6.19": "c080 e08080 f0808080 f880808080 fc8080808080",
    "6.20": "eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf",
    "6.21": "eda080edb080 eda080edbfbf edadbfedb080 edadbfedbfbf edae80edb080 edafbfedbfbf",
}
SMILE = "a😀é€".encode()


def _octets(texts: dict[str, str]) -> list[tuple[str, bytes]]:
    return [
        (f"{section}.{n}", bytes.fromhex(text))
        for section, line in texts.items()
        for n, text in enumerate(line.split(), 1)
    ]


# §8.1 asks to fail at an invalid sequence, without waiting for the message's end.
WAITS = {"websockets": Verdict((), None)}
UTF8 = [
    Case("6.1.1", "5.6", (Frame(TEXT),), ((TEXT, b""),)),
    Case("6.1.2", "5.4", (Frame(TEXT, fin=False), Frame(CONT)), ((TEXT, b""),)),
    Case(
        "6.1.3",
        "5.4",
        (Frame(TEXT, fin=False), Frame(CONT, b"mid", fin=False), Frame(CONT)),
        ((TEXT, b"mid"),),
    ),
    *(Case(name, "8.1", (Frame(TEXT, text),), ((TEXT, text),)) for name, text in _octets(VALID)),
    *(
        Case(f"{name}/octets", "8.1", fragments(TEXT, text, 1), ((TEXT, text),))
        for name, text in _octets(VALID)
        if len(text) > 1
    ),
    *(
        Case(f"6.2.{size}/split", "8.1", fragments(TEXT, SMILE, size), ((TEXT, SMILE),))
        for size in range(1, len(SMILE))
    ),
    Case(
        "6.2/ping",
        "8.1",
        (Frame(TEXT, SMILE[:3], fin=False), Frame(PING), Frame(CONT, SMILE[3:])),
        ((10, b""), (TEXT, SMILE)),
    ),
    *(Case(name, "8.1", (Frame(TEXT, text),), close=1007) for name, text in _octets(INVALID)),
    *(
        Case(f"{name}/octets", "8.1", fragments(TEXT, text, 1), close=1007)
        for name, text in _octets(INVALID)
        if len(text) > 1
    ),
    # Nothing follows these: the verdict must come without the end of the message.
    *(
        Case(f"6.4.{n}", "8.1", sent, close=1007, differs=WAITS)
        for n, sent in enumerate(
            (
                (Frame(TEXT, b"\xce\xba\xf4\x90\x80\x80", fin=False),),
                (Frame(TEXT, b"\xce\xba\xf4", fin=False), Frame(CONT, b"\x90", fin=False)),
                (Frame(TEXT, b"ok", fin=False), Frame(CONT, b"\xed\xa0\x80", fin=False)),
                (Frame(TEXT, b"\xe0", fin=False), Frame(CONT, b"\x80", fin=False)),
                (Frame(TEXT, b"\xc0", fin=False),),
            ),
            1,
        )
    ),
    Case("6.6.1/binary", "5.6", (Frame(2, b"\xff\xfe\xc0"),), ((2, b"\xff\xfe\xc0"),)),
]
