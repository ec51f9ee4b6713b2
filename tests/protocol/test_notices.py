"""What a browser is told when its conversation begins otherwise than it asked."""

from __future__ import annotations

import json

from app.protocol.close_codes import FORBIDDEN
from app.protocol.initialize import ResolvedInitialize
from app.protocol.notices import MAX_KEY, MAX_KEYS, Notices, notice_frames, notices_of
from app.protocol.principal import CallType
from tests.protocol.rules import NOW


def test_nothing_is_told_of_what_was_done_as_asked() -> None:
    notices = notices_of(ResolvedInitialize(CallType.CHAT, None, {}, {}))
    assert notices == Notices(used="chat")
    assert notice_frames(notices, NOW, "s-1", native=True) == ()


def test_keys_are_bounded_in_number_and_length() -> None:
    keys = tuple(f"{number}" * 200 for number in range(100))
    notices = notices_of(ResolvedInitialize(CallType.CHAT, None, {}, {}, keys))
    assert len(notices.keys) == MAX_KEYS
    assert {len(key) for key in notices.keys} == {MAX_KEY}


def test_keys_are_told_to_native_browsers_and_a_call_type_to_all() -> None:
    opening = ResolvedInitialize(CallType.CHAT, None, {}, {}, ("cart",), "webCall")
    for native in (True, False):
        told = [
            json.loads(one) for one in notice_frames(notices_of(opening), NOW, "s-1", native=native)
        ]
        assert (told[0]["type"], told[0]["name"]) == ("error", "relay.error")
        assert told[0]["data"]["code"] == FORBIDDEN.code
        assert "is chat, not webCall" in told[0]["data"]["message"]
        assert [one["data"]["keys"] for one in told[1:]] == ([["cart"]] if native else [])
