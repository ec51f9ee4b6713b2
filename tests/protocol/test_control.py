from __future__ import annotations

import pytest

from app.protocol.close_codes import CLOSE_REASONS, ENDED, FORBIDDEN
from app.protocol.control import (
    ABSENT,
    END_REASONS,
    EVENT_NAME,
    RESERVED_EVENTS,
    Answer,
    Command,
    Decide,
    Emit,
    Finish,
    HandBack,
    Say,
    TakeOver,
    from_json,
    name_of,
    to_json,
    too_much,
)

COMMANDS: list[Command] = [
    Say("m1", "agent", "hello", "operator"),
    Say("m2", "user", "ü\u2028"),
    Emit("m3", "cart", {"items": [1, None, {"a": 10**30}]}),
    TakeOver("m4", "Ann"),
    HandBack("m5", "all is well", "Ann"),
    Finish("m6", 4403, "Not allowed."),
    Decide("m7", "call/1", approve=False, by="eve"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_command_survives_the_way_to_another_replica(command: Command) -> None:
    assert from_json(to_json(command)) == command


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"do": 1},
        {"do": "dance", "id": "m"},
        {"do": "message", "id": "m"},
        {"do": "message", "id": "m", "role": "agent", "content": 1, "speaker": ""},
        {"do": "event", "id": "m", "name": "x", "data": []},
        {"do": "end", "id": "m", "code": True, "message": ""},
        {"do": "end", "id": "m", "code": "1000", "message": ""},
    ],
)
def test_what_is_no_command_is_none(document: dict[str, object]) -> None:
    assert from_json(document) is None


def test_member_of_a_newer_release_is_skipped() -> None:
    assert from_json({**to_json(COMMANDS[0]), "mood": "good"}) == COMMANDS[0]


def test_member_that_an_older_release_does_not_write_has_its_default() -> None:
    written = to_json(Say("m1", "agent", "hello"))
    del written["operator"]
    assert from_json(written) == Say("m1", "agent", "hello")
    del written["content"]
    assert from_json(written) is None


def test_actions_have_names_for_metrics() -> None:
    names = [name_of(command) for command in COMMANDS]
    assert names == ["message", "message", "event", "takeover", "handback", "end", "approval"]


def test_end_is_normal_unless_it_has_another_known_code() -> None:
    assert Finish("m").reason is Finish("m", 1006).reason is ENDED
    assert Finish("m", 4403).reason is FORBIDDEN
    assert Finish("m").is_plain
    assert not Finish("m", 4403).is_plain
    assert not Finish("m", message="Goodbye.").is_plain
    assert {reason.code for reason in CLOSE_REASONS} >= END_REASONS.keys()


def test_what_was_done_is_told_from_what_was_refused() -> None:
    assert not Answer(202, {"message_id": "m"}).is_refusal
    assert ABSENT.is_refusal
    full = too_much(4096, "RELAY_RESUME_BUFFER")
    assert (full.status, full.body["limit"], full.body["member"]) == (
        429,
        4096,
        "RELAY_RESUME_BUFFER",
    )


def test_reserved_names_are_names() -> None:
    assert all(EVENT_NAME.fullmatch(name) for name in RESERVED_EVENTS)
    assert EVENT_NAME.fullmatch("Cart") is None
    assert EVENT_NAME.fullmatch("c" * 33) is None
