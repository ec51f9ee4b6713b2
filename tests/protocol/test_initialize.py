"""What `initialize` says, and who has the last word on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.protocol.close_codes import FORBIDDEN
from app.protocol.errors import Refusal
from app.protocol.initialize import (
    MAX_PHONE_NUMBER,
    ClientOptions,
    Profile,
    may_dial,
    resolve_initialize,
)
from app.protocol.principal import CallType, Principal

PROFILE = Profile("support", client_data_keys=frozenset({"page", "both"}))
WHO = Principal("subject-1", "ticket")


def refused(profile: Profile, who: Principal, wish: ClientOptions) -> str:
    with pytest.raises(Refusal) as told:
        resolve_initialize(profile, who, wish)
    assert told.value.reason is FORBIDDEN
    return told.value.message


@pytest.mark.parametrize(
    ("pinned", "wished", "settled"),
    [
        (None, None, CallType.CHAT),
        (None, "webCall", CallType.WEB_CALL),
        (CallType.WEB_CALL, None, CallType.WEB_CALL),
        (CallType.WEB_CALL, "chat", CallType.WEB_CALL),
    ],
)
def test_credential_then_wish_then_default_say_the_call_type(
    pinned: CallType | None, wished: str | None, settled: CallType
) -> None:
    opening = resolve_initialize(PROFILE, replace(WHO, call_type=pinned), ClientOptions(wished))
    assert opening.call_type is settled
    assert opening.request == {"callType": settled.value}


def test_unknown_or_disallowed_call_type_is_refused() -> None:
    assert "no such" in refused(PROFILE, WHO, ClientOptions("fax"))
    chats = replace(PROFILE, call_types=frozenset({CallType.CHAT}))
    assert "not allowed" in refused(chats, WHO, ClientOptions("webCall"))
    assert "not allowed" in refused(
        chats, replace(WHO, call_type=CallType.WEB_CALL), ClientOptions()
    )


def test_later_layers_of_data_win() -> None:
    profile = replace(
        PROFILE,
        client_data_keys=frozenset({"page", "both", "all"}),
        initialize={"additionalData": {"both": "template", "all": "template", "t": 1}},
    )
    who = replace(WHO, additional_data={"all": "credential", "c": 1})
    wish = ClientOptions(
        additional_data={"page": "/", "both": "browser", "all": "browser", "evil": 1}
    )
    opening = resolve_initialize(profile, who, wish)
    assert opening.request["additionalData"] == {
        "page": "/",
        "both": "template",
        "all": "credential",
        "t": 1,
        "c": 1,
    }


def test_tools_see_nothing_that_a_browser_said() -> None:
    profile = replace(PROFILE, initialize={"additionalData": {"t": 1}})
    opening = resolve_initialize(profile, WHO, ClientOptions(additional_data={"page": "/forged"}))
    assert opening.additional_data == {"t": 1}


def test_no_data_means_no_member() -> None:
    assert "additionalData" not in resolve_initialize(PROFILE, WHO, ClientOptions()).request
    templated = replace(PROFILE, initialize={"additionalData": None})
    assert resolve_initialize(templated, WHO, ClientOptions()).request["additionalData"] is None


@pytest.mark.parametrize("data", [{}, {"page": "/not-listed"}])
def test_data_that_a_page_sends_arrives_as_a_member_even_if_nothing_of_it_is_left(
    data: dict[str, str],
) -> None:
    own = {"type": "initialize", "request": {"callType": "chat", "additionalData": data}}
    profile = replace(PROFILE, client_data_keys=frozenset())
    opening = resolve_initialize(profile, WHO, ClientOptions().merged_with(own))
    assert opening.request["additionalData"] == {}


def test_template_is_filled_in_and_never_changed() -> None:
    template: dict[str, Any] = {"priority": 2, "additionalData": {"a": {"b": 1}}}
    opening = resolve_initialize(
        replace(PROFILE, initialize=template),
        replace(WHO, additional_data={"x": 1}),
        ClientOptions(),
    )
    assert opening.request["priority"] == 2
    opening.request["additionalData"]["a"]["b"] = 2
    assert template == {"priority": 2, "additionalData": {"a": {"b": 1}}}


PHONE = replace(PROFILE, phone_numbers=(r"\+1555\d{7}", r"sip:\w+@example\.com"))


def test_number_is_the_credential_s_then_the_template_s_then_an_allowed_wish() -> None:
    wish = ClientOptions("onPhone", "+15550000001")
    assert resolve_initialize(PHONE, WHO, wish).endpoint == "+15550000001"
    templated = replace(PHONE, initialize={"endpoint": "+15550000002"})
    assert resolve_initialize(templated, WHO, wish).endpoint == "+15550000002"
    pinned = replace(WHO, endpoint="+4400000000")
    opening = resolve_initialize(templated, pinned, wish)
    assert opening.endpoint == opening.request["endpoint"] == "+4400000000"


@pytest.mark.parametrize(
    "number", ["+1555000000", "+155500000011", "x+15550000001", "+15550000001\n", "1" * 300]
)
def test_number_that_no_pattern_matches_whole_is_refused(number: str) -> None:
    assert "may not be dialled" in refused(PHONE, WHO, ClientOptions("onPhone", number))


def test_phone_call_without_a_number_is_refused() -> None:
    assert "missing" in refused(PHONE, WHO, ClientOptions("onPhone"))


def test_number_is_ignored_when_nobody_is_called() -> None:
    opening = resolve_initialize(PHONE, WHO, ClientOptions("chat", "+15550000001"))
    assert opening.endpoint is None
    assert "endpoint" not in opening.request


def test_no_pattern_means_no_number() -> None:
    assert not may_dial(PROFILE, "+15550000001")


def test_overlong_number_is_not_even_matched() -> None:
    anything = replace(PROFILE, phone_numbers=(r".*",))
    assert may_dial(anything, "1" * MAX_PHONE_NUMBER)
    assert not may_dial(anything, "1" * (MAX_PHONE_NUMBER + 1))


@pytest.mark.parametrize("field", ["request", "devRequest"])
def test_browser_s_own_initialize_says_what_the_query_does_not(field: str) -> None:
    frame = {
        "type": "initialize",
        field: {"callType": "webCall", "endpoint": "+1", "additionalData": {"a": 1}},
    }
    assert ClientOptions().merged_with(frame) == ClientOptions("webCall", "+1", {"a": 1})
    assert ClientOptions("chat", "+2").merged_with(frame) == ClientOptions("chat", "+2", {"a": 1})


@pytest.mark.parametrize(
    "frame",
    [
        None,
        {"type": "initialize"},
        {"type": "initialize", "request": "chat"},
        {"type": "initialize", "request": None},
        {"type": "initialize", "request": {}},
        {"request": {"callType": 1, "endpoint": ["+1"], "additionalData": [1]}},
    ],
)
def test_misshapen_initialize_wishes_nothing(frame: dict[str, Any] | None) -> None:
    wish = ClientOptions("chat", None, {"kept": 1})
    assert wish.merged_with(frame) == wish
