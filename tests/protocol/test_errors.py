"""The error tree: what each error carries, and what it shows."""

from __future__ import annotations

import pytest

from app.protocol.close_codes import OVERLOADED, UPSTREAM_FAILED
from app.protocol.errors import (
    ConfigurationError,
    IllegalTransition,
    PeerError,
    Refusal,
    RelayError,
    StoreUnavailable,
    UpstreamError,
)


def test_configuration_error_holds_every_fault() -> None:
    error = ConfigurationError(["RELAY_PORT: one", "RELAY_HOST: two"])
    assert error.faults == ("RELAY_PORT: one", "RELAY_HOST: two")
    assert str(error) == "RELAY_PORT: one; RELAY_HOST: two"


def test_refusal_shows_its_reasons_own_sentence_unless_it_has_one() -> None:
    assert Refusal(OVERLOADED).message == OVERLOADED.message
    refusal = Refusal(OVERLOADED, "Come back later.", retry_after=3.0)
    assert (refusal.reason, refusal.message, refusal.retry_after) == (
        OVERLOADED,
        "Come back later.",
        3.0,
    )


def test_peer_and_upstream_errors_carry_what_is_sent_on() -> None:
    assert PeerError(1007, "not UTF-8").code == 1007
    assert UpstreamError(UPSTREAM_FAILED, "refused").reason is UPSTREAM_FAILED


def test_lost_store_carries_advice_for_operators_where_there_is_some() -> None:
    assert StoreUnavailable("no answer").advice is None
    lost = StoreUnavailable("no answer", "check host and port")
    assert (str(lost), lost.advice) == ("no answer", "check host and port")


@pytest.mark.parametrize(
    "kind",
    [ConfigurationError, Refusal, PeerError, UpstreamError, StoreUnavailable, IllegalTransition],
)
def test_every_error_is_of_one_tree(kind: type[Exception]) -> None:
    assert issubclass(kind, RelayError)
