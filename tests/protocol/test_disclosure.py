"""What a browser is shown of the vendor's frames."""

from __future__ import annotations

import json

import pytest

from app.protocol.actions import FORWARD, NOTHING, Count, ToBrowser
from app.protocol.close_codes import UPSTREAM_FAILED
from app.protocol.disclosure import Disclosure
from app.protocol.initialize import Profile
from tests.protocol.rules import NOW, frame, only

KEY = frozenset({b"canary+key"})


def test_hidden_type_is_not_shown_and_another_is() -> None:
    disclosure = Disclosure(Profile("support", hide=frozenset({"toolCall"})), "s-1", KEY)
    hidden, other = frame("toolCall", content={}), frame("toolCallResult", content={})
    assert disclosure.shown("toolCall", json.loads(hidden), hidden, NOW) is NOTHING
    assert disclosure.shown("toolCallResult", json.loads(other), other, NOW) is FORWARD


@pytest.mark.parametrize("written", [b"+", b"\\u002B", b"\\u002b"])
def test_frame_with_the_key_is_replaced_by_an_error_in_any_spelling(written: bytes) -> None:
    disclosure = Disclosure(Profile("support"), "s-1", KEY)
    payload = frame("text", content={"text": "it is canary+key"}).replace(b"+", written)
    told = disclosure.shown("text", json.loads(payload), payload, NOW)
    assert only(told, Count).name == "secret_withheld"
    shown = only(told, ToBrowser).payload
    assert b"canary" not in shown
    assert json.loads(shown)["data"]["code"] == UPSTREAM_FAILED.code


@pytest.mark.parametrize("pays", [True, False])
@pytest.mark.parametrize(
    ("payload", "secrets", "expected"),
    [
        (b'{"type":"event","data":"it is fine"}', KEY, True),
        (b'{"type":"event","data":"it is canary+key"}', KEY, False),
        (b'{"type":"event","data":"it is canary\\u002bkey"}', KEY, False),
        (b'{"type":"event","data":"a line\\n"}', KEY, False),  # that takes a parser
        (b'{"type":"event","data":"a line\\n"}', frozenset(), True),
        (b'{"type":"event","data":"it is canary-key"}', KEY | {b"y+k"}, True),
        (b'{"type":"event","data":"it is canary-key"}', KEY | {b"y-key"}, False),
    ],
)
def test_secret_is_found_without_a_parser(
    monkeypatch: pytest.MonkeyPatch,
    pays: bool,
    payload: bytes,
    secrets: frozenset[bytes],
    expected: bool,
) -> None:
    monkeypatch.setattr("app.protocol.disclosure.FAST_PATH_ENABLED", pays)
    disclosure = Disclosure(Profile("support"), "s-1", secrets)
    assert disclosure.is_free_of_secrets(payload) is expected
    if expected:
        assert disclosure.shown("event", json.loads(payload), payload, NOW) is FORWARD


@pytest.mark.parametrize("both", [True, False])
def test_offer_is_shown_in_both_members_where_the_profile_asks_for_it(both: bool) -> None:
    disclosure = Disclosure(Profile("support", both_sdp_fields=both), "s-1", KEY)
    payload = frame("sdpInvite", channelId="c-1", data={"invite": "v=0"})
    told = disclosure.shown("sdpInvite", json.loads(payload), payload, NOW)
    if not both:
        assert told is FORWARD
    else:
        assert json.loads(only(told, ToBrowser).payload)["data"] == {
            "invite": "v=0",
            "sdpOffer": "v=0",
        }
