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
from app.protocol.actions import FORWARD, Actions
from app.protocol.fast_path import (
    FAST_PATH_ENABLED,
    acked_count,
    is_simple_message,
    is_simple_text,
)
from app.protocol.frame_counters import FrameCounters
from app.protocol.frames import BODIES, ENVELOPE, HEADER
from app.websocket.compiled import COMPILED
from tests.protocol.mutants import mutants
from tests.protocol.rules import NOW, frame, live, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.session import Session


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


def judged(payload: bytes, begin: Callable[..., Session]) -> tuple[Any, ...]:
    """What a session makes of a payload from either side, and what it knows after it."""
    counters = FrameCounters()
    rules = begin(counters=counters)
    made: list[Actions] = [rules.from_browser(payload, NOW), rules.from_upstream(payload, NOW)]
    counts = [
        (count.frames, count.size) for count in (counters.from_browser, counters.from_upstream)
    ]
    return (
        made,
        counts,
        rules.phase,
        rules.received,
        rules.size_received,
        rules.call,
        rules.outgoing.acked,
    )


def fuzz(count: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Hold `count` frames against both ways; count what each look said."""
    said: Counter[str] = Counter()
    random = Random(seed)  # noqa: S311 - a seed that a failure names
    hidden = partial(live, hide=frozenset({"text"}))
    begins = (live, live, live, hidden, answered, finished, opened)
    for payload in mutants(random, count):
        plain, message = is_simple_text(payload), is_simple_message(payload)
        said["text" if plain else "message" if message else "neither"] += 1
        begin = random.choice(begins)
        found: list[tuple[Any, ...]] = []
        for pays in (True, False):
            monkeypatch.setattr(rules_of_a_session, "FAST_PATH_ENABLED", pays)
            found.append(judged(payload, begin))
        assert found[0] == found[1], (seed, payload)
        if plain and begin is live:
            assert found[1][0][1] is FORWARD, (seed, payload)
        if message and begin is live:
            assert found[1][0][0] is FORWARD, (seed, payload)
    return said


@pytest.mark.exhaustive
def test_both_ways_judge_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    said = fuzz(10_000, 8259, monkeypatch)
    assert said.total() == 10_000
    assert min(said["text"], said["message"], said["neither"]) > 100, said


@pytest.mark.nightly
def test_both_ways_judge_a_million_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = SystemRandom().getrandbits(32)
    assert fuzz(1_000_000, seed, monkeypatch).total() == 1_000_000
