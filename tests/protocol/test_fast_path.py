"""The fast path judges as the parser and the rules behind it would."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from itertools import combinations
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any

import pytest

from app.protocol import session as rules_of_a_session
from app.protocol.actions import FORWARD, Actions, Count
from app.protocol.fast_path import (
    FAST_PATH_ENABLED,
    SIMPLE_TYPES,
    acked_count,
    is_simple_message,
    simple_type,
)
from app.protocol.frame_counters import FrameCounters
from app.protocol.frames import BODIES, ENVELOPE, EVENTS_WITH_EFFECT, HEADER, KNOWN_EVENTS
from app.protocol.takeover import Takeover
from app.websocket.compiled import COMPILED
from tests.protocol.mutants import SECRET, mutants
from tests.protocol.rules import NOW, frame, live, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.session import Session

LEFT_TO_THE_PARSER = -1
OF_EVENT = SIMPLE_TYPES.index("event")


def is_simple_text(payload: bytes) -> bool:
    return simple_type(payload) == SIMPLE_TYPES.index("text")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"text"}',
        b'{"type":"text","content":{"source":"assistant","text":"Hello: {you}, \x7f"}}',
        b'{"type":"text","timestamp":"t","channelId":null,"content":{"a":{"b":1},"c":{}}}',
        b'{"type":"text","channelId":0,"data":999999999999999,"result":true,"request":false}',
        '{"type":"text","devRequest":"größer 😀 "}'.encode(),
        b'{"type":"text","content":{"a":1,"a":2}}',
        b'{"type":"text","content":"line\\nbreak"}',
        b'{"type":"text","content":{"a\\"b":"\\"\\\\\\/\\b\\f\\n\\r\\t"},"data":"\\\\"}',
        b'{"content":"a","type":"text"}',
        b'\t{\n  "content" : "a" ,\r\n  "type" : "text" }\n ',
        b'{"type":"text","content":[]}',
        b'{"type":"text","content":{"a":{"b":[{"c":1},[]]}}}',
        b'{"type":"text","content":' + b"[" * 63 + b"]" * 63 + b"}",
        b'{"type":"text","content":-1.5,"data":9999999999999999,"result":1E+9}',
        b'{"type":"text","content":"\\u00e9\\ud83d\\ude00"}',
        b'{"type":"text","content":"' + b"z" * 100_000 + b'","data":1}',
        b'{"type":"text","content":"' + b"\\n" * 50_000 + b'","data":1}',
    ],
)
def test_plain_text_is_known(payload: bytes) -> None:
    assert is_simple_text(payload)
    assert not is_simple_message(payload)
    assert live().from_upstream(payload, NOW) is FORWARD


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b'{"type":"text"',
        b'{"type":"text",}',
        b'{"type":"text"}}',
        b'{"type":"text","content"}',
        b'{"type":"text","content":',
        b'{"type":"text","content":{"a":',
        b'{"type":"text","content":}',
        b'{"type":"text","content":"}',
        b'{"type":"text","content":"a" "b"}',
        b'{"type":"text","content":"a""data":1}',
        b'{"type":"text","content":{"a":1,}}',
        b'{"type":"text","content":{,}}',
        b'{"type":"text","content":{"a":1}',
        b'{"type":"text","content":01}',
        b'{"type":"text","content":nul}',
        b'{"type":"text","content":nulll}',
        b'{"type":"text","content":"\\x"}',
        b'{"type":"text","content":"\\"}',
        b'{"type":"text","content":"\\',
        b'{"type":"text","content":"a\\\\" "b"}',
        b'{"type":"text","content":"a\\n" "b"}',
        b'{"type":"text","con\\tent":1}',
        b'{"type":"text","content":\\n1}',
        b'{"type":"text","content":"tab\there"}',
        b'{"type":"text","content":"\xff"}',
        b'{"type":"text","content":"\xed\xa0\x80"}',
        b'{"type":"text","content":1,"content":2}',
        b'{"type":"text","type":"event"}',
        b'{"type":"text","name":"relay.resumed"}',
        b'{"type":"text","name":"opened"}',
        b'{"type":"text","more":1}',
        b'{"type":"texts"}',
        b'{"type":"text" "content":1}',
        b'{"type":["text"]}',
        b'{"type"',
        b'{"type":',
        b"{}",
        b"[]",
        b" ",
        b'{"content":"a"}',
        b'{"t\\u0079pe":"text"}',
        b'{"type":"te\\u0078t"}',
        b'{"type":"text","content":' + b"[" * 64 + b"]" * 64 + b"}",
        b'{"type":"text","content":1e999}',
        b'\x0b{"type":"text"}',
        b'\xa0{"type":"text"}',
        b'{"type":"text"}\x00',
        b'{"type":"text","content":"' + b"z" * 100_000,
        b'{"type":"text","content":"' + b"z" * 100_000 + b"}",
    ],
)
def test_all_else_is_left_to_the_parser(payload: bytes) -> None:
    assert not is_simple_text(payload)
    assert not is_simple_message(payload.replace(b'"text"', b'"incomingChatMessage"', 1))


@pytest.mark.parametrize(
    ("members", "plain"),
    [
        (b'"timestamp":"t","content":"hello"', True),
        (b'"content":"","channelId":null,"timestamp":1', True),
        (b'"content":"hello"', False),  # what is missing must be added
        (b'"timestamp":"t"', False),
        (b'"timestamp":"t","content":null', False),
        (b'"timestamp":"t","content":{}', False),
        (b'"timestamp":{},"content":"hello"', False),
        (b'"timestamp":"t","content":"hello","data":1', True),
        (b'"timestamp":"t","content":"hello","data":{"a":1,"a":2}', False),
        (b'"timestamp":"t","content":"hello","data":[]', False),
        (b'"timestamp":"t","content":"hello","more":1', False),
        (b'"timestamp":"t","content":"hello","content":"hello"', False),
    ],
)
def test_plain_message_is_whole(members: bytes, plain: bool) -> None:
    payload = b'{"type":"incomingChatMessage",' + members + b"}"
    assert is_simple_message(payload) is plain
    assert not is_simple_text(payload)


def event(name: bytes, *members: bytes) -> bytes:
    return b"{%s}" % b",".join((b'"type":"event","name":%s' % name, *members))


@pytest.mark.parametrize("name", [*sorted(KNOWN_EVENTS), "surprise", "relay.resumed"])
def test_event_is_simple_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    payload = event(b'"%s"' % name.encode(), b'"data":{"a":[{"b":"\\u00e9"}],"a":1}')
    simple = name in KNOWN_EVENTS - EVENTS_WITH_EFFECT
    assert simple_type(payload) == (OF_EVENT if simple else LEFT_TO_THE_PARSER)
    monkeypatch.setattr(rules_of_a_session, "FAST_PATH_ENABLED", False)
    assert (live().from_upstream(payload, NOW) is FORWARD) is simple


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"event"}',
        *map(event, (b"null", b"1", b'["opened"]', b'{"a":"opened"}', b'"Opened"', b'"open"')),
        *map(event, (b'"opene\\u0064"', b'"opened ', b'"opened', b'"opened"x', b'""', b"opened")),
        event(b'"opened"', b'"name":"opened"'),
        event(b'"opened"', b'"n\\u0061me":"opened"'),
        event(b'"opened"', b'"type":"event"'),
        event(b'"opened"', b'"more":1'),
        event(b'"opened"', b'"data":"\\x"'),
        event(b'"opened"', b'"data":"\xff"'),
        event(b'"opened"', b'"data":01'),
        *(b'{"type":"%s","name":"opened"}' % kind for kind in (b"text", b"toolCall")),
        *(b'{"type":"%s"}' % kind for kind in (b"error", b"sdpInvite", b"conversationResult")),
        *(b'{"type":"%s"}' % kind for kind in (b"websocketToolRequest", b"events", b"toolCall ")),
    ],
)
def test_event_without_a_plain_name_is_left_to_the_parser(payload: bytes) -> None:
    assert simple_type(payload) == LEFT_TO_THE_PARSER


@pytest.mark.parametrize("kind", sorted({*SIMPLE_TYPES} - {"event"}))
def test_other_types_are_simple_without_a_name(kind: str) -> None:
    content = b'"content":{"a":1}'
    for payload in (b'{"type":"%s",%s}', b'{%s , "type" : "%s" }\n'):
        words = (kind.encode(), content) if payload.startswith(b'{"t') else (content, kind.encode())
        assert simple_type(payload % words) == SIMPLE_TYPES.index(kind)
        assert not is_simple_message(payload % words)


@pytest.mark.parametrize("member", sorted(ENVELOPE - {"type"}))
def test_members_are_those_of_the_envelope_but_the_name(member: str) -> None:
    assert is_simple_text(b'{"type":"text","%s":1}' % member.encode()) is (member != "name")


def test_what_is_simple_is_what_the_rules_forward_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = dict.fromkeys((*HEADER[1:], *BODIES, "more"), "x")
    simple = 0
    for count in range(len(values) + 1):
        for members in combinations(values.items(), count):
            text = json.dumps({"type": "text", **dict(members)}, separators=(",", ":")).encode()
            message = text.replace(b'"text"', b'"incomingChatMessage"', 1)
            monkeypatch.setattr(rules_of_a_session, "FAST_PATH_ENABLED", False)
            named = "name" in dict(members)
            assert is_simple_text(text) is (
                live().from_upstream(text, NOW) is FORWARD and not named
            )
            if is_simple_message(message):
                simple += 1
                assert live().from_browser(message, NOW) is FORWARD
    assert simple == 2 ** (len(ENVELOPE) - 4)  # without name; with type, timestamp and content


@pytest.mark.parametrize("number", ["0", "7", "10", "999999999999999"])
def test_confirmation_is_read(number: str) -> None:
    assert acked_count(b'{"type":"relay.received","count":%s}' % number.encode()) == int(number)


@pytest.mark.parametrize(
    "number",
    [
        "",
        "-1",
        "01",
        "00",
        "1.0",
        "1e3",
        "1 ",
        " 1",
        '"1"',
        "null",
        "1/",
        ":",
        "9" * 16,
        "1}",
        "{}",
    ],
)
def test_any_other_confirmation_is_left_to_the_parser(number: str) -> None:
    whole = b'{"type":"relay.received","count":%s}' % number.encode()
    assert acked_count(whole) == -1
    assert acked_count(b'{"type":"relay.received","count":1') == -1
    assert acked_count(b'{"type":"relay.received", "count":1}') == -1


def test_a_look_pays_compiled_only() -> None:
    assert FAST_PATH_ENABLED is COMPILED


def finished(**given: Any) -> Session:
    rules = live(**given)
    rules.terminate(NOW)
    return rules


def answered(**given: Any) -> Session:
    """One whose call has been answered: it listens for the user's voice."""
    rules = live(**given)
    rules.from_upstream(frame("sdpInvite", data={"sdpOffer": "v=0"}), NOW)
    rules.from_browser(frame("sdpAnswer", channelId="c", data={"sdpAnswer": "v=0"}), NOW)
    assert rules.call.answer is not None
    return rules


def judged(payload: bytes, begin: Callable[..., Session]) -> tuple[list[Actions], object]:
    """What a session makes of a payload from either side, and what it knows after it."""
    counters = FrameCounters()
    rules = begin(counters=counters)
    made: list[Actions] = [rules.from_browser(payload, NOW), rules.from_upstream(payload, NOW)]
    counts = [
        (count.frames, count.size) for count in (counters.from_browser, counters.from_upstream)
    ]
    return made, (
        counts,
        rules.phase,
        rules.received,
        rules.size_received,
        rules.call,
        rules.outgoing.acked,
    )


def taken(**given: Any) -> Session:
    """One in which a person speaks instead of the agent."""
    rules = live(**given)
    rules.take_over(Takeover("operator", NOW))
    return rules


def echoing(**given: Any) -> Session:
    """One that hides the next echo of a text."""
    rules = live(**given)
    rules.hide_echo("hi")
    return rules


ALL_SHOWN = frozenset[str]()
BEGINS: dict[str, Callable[..., Session]] = {
    "live": live,
    "all shown": partial(live, hide=ALL_SHOWN),
    "secret": partial(live, hide=ALL_SHOWN, secrets=frozenset({SECRET})),
    "short secrets": partial(live, hide=ALL_SHOWN, secrets=frozenset({b"a:b", b"x\ty", SECRET})),
    "no texts": partial(live, hide=frozenset({"text"})),
    "no events": partial(live, hide=frozenset({"event", "toolCall"})),
    "answered": partial(answered, hide=ALL_SHOWN),
    "taken over": partial(taken, secrets=frozenset({SECRET})),
    "echoing": echoing,
    "finished": finished,
    "opened": opened,
}


@pytest.mark.parametrize("secret", [SECRET, b"k+y", b"a"])
@pytest.mark.parametrize("head", [b'"type":"event","name":"opened"', b'"type":"toolCall"'])
@pytest.mark.parametrize(
    "member",
    [
        *(b'"data":"it is %s."', b'"data":"%s"', b'"data":{"%s":1}', b'"data":[{"a":["%s"]}]'),
        *(b'"data":{"a":1,"a":"%s"}', b'"timestamp":"%s"', b'"channelId":"%s"', b'"result":"%s"'),
        b'"content":"' + b"words " * 40 + b'%s"',
    ],
)
def test_frame_with_a_secret_is_withheld_both_ways(
    monkeypatch: pytest.MonkeyPatch, secret: bytes, head: bytes, member: bytes
) -> None:
    number = b"\\u%04x" % secret[-1]
    for written in (secret, secret[:-1] + number, secret[:-1] + number.upper().replace(b"U", b"u")):
        payload = b"{%s,%s}" % (head, member % written)
        assert simple_type(payload) >= 0
        begin = partial(live, hide=ALL_SHOWN, secrets=frozenset({secret}))
        found = []
        for pays in (True, False):
            monkeypatch.setattr(rules_of_a_session, "FAST_PATH_ENABLED", pays)
            found.append(begin().from_upstream(payload, NOW))
        assert found[0] == found[1] == (Count("secret_withheld"), found[0][1])


def fuzz(count: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Hold `count` frames against both ways; count what was simple, and withheld all the same."""
    said: Counter[str] = Counter()
    random = Random(seed)  # noqa: S311 - a seed that a failure names
    for payload in mutants(random, count):
        kind, message = simple_type(payload), is_simple_message(payload)
        said["message" if message else SIMPLE_TYPES[kind] if kind >= 0 else "neither"] += 1
        begin = "secret" if b"canary" in payload else random.choice(tuple(BEGINS))
        found = []
        for pays in (True, False):
            monkeypatch.setattr(rules_of_a_session, "FAST_PATH_ENABLED", pays)
            found.append(judged(payload, BEGINS[begin]))
        assert found[0] == found[1], (seed, begin, payload)
        is_forwarded = found[1][0][1] is FORWARD
        if kind >= 0 and begin == "all shown":
            assert is_forwarded, (seed, payload)
        if kind >= 0 and begin == "secret" and not is_forwarded:
            assert kind != SIMPLE_TYPES.index("text"), (seed, payload)
            said["secret withheld"] += 1
        if message and begin == "live":
            assert found[1][0][0] is FORWARD, (seed, payload)
    return said


@pytest.mark.exhaustive
def test_both_ways_judge_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    said = fuzz(10_000, 8259, monkeypatch)
    simple = {kind: said[kind] for kind in (*SIMPLE_TYPES, "message", "neither")}
    assert sum(simple.values()) == 10_000
    assert min(simple.values()) > 50, said
    assert said["secret withheld"] > 5, said


@pytest.mark.nightly
def test_both_ways_judge_a_million_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    said = fuzz(1_000_000, SystemRandom().getrandbits(32), monkeypatch)
    assert said.total() - said["secret withheld"] == 1_000_000
    assert said["secret withheld"] > 500, said
