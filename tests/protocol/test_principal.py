"""Who somebody is, as a value."""

from __future__ import annotations

import pytest

from app.protocol.principal import CallType, Principal


def test_call_types_are_spelled_as_the_vendor_does() -> None:
    assert [kind.value for kind in CallType] == ["chat", "webCall", "onPhone"]


def test_principal_pins_nothing_that_its_credential_does_not() -> None:
    known = Principal("subject-1", "ticket")
    assert (known.agent, known.call_type, known.endpoint, known.origin) == (None,) * 4
    assert (known.expires_at, known.credential_id) == (None, None)
    assert known.additional_data == {}


def test_principal_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Principal("subject-1", "ticket").subject = "other"  # type: ignore[misc]


def test_principals_share_no_data() -> None:
    assert Principal("a", "open").additional_data is not Principal("b", "open").additional_data
