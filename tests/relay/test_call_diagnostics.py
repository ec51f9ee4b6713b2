"""What the log says of a web call that does not connect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from app.protocol.principal import CallType
from tests.protocol.test_sdp import ADDRESS, OFFER, answer
from tests.relay.stage import Stage

if TYPE_CHECKING:
    from collections.abc import MutableMapping

CALL = {
    "profile": {
        "call_types": frozenset({CallType.WEB_CALL}),
        "default_call_type": CallType.WEB_CALL,
    }
}


async def called(*said: str) -> list[MutableMapping[str, Any]]:
    """Offer a call, answer it so, hang up, and return what the log says of it."""
    with capture_logs() as logs:
        async with Stage(**CALL) as stage:  # type: ignore[arg-type]
            await stage.live()
            stage.vendor.say({"type": "sdpInvite", "data": {"invite": OFFER}})
            for sdp in said:
                told = {"type": "sdpAnswer", "channelId": None, "data": {"sdpAnswer": sdp}}
                stage.browser.say(told)
            stage.browser.say({"type": "terminate"})
            stage.vendor.leave()
            await stage.over()
    assert ADDRESS not in json.dumps(logs, default=str)
    return [line for line in logs if line["event"] == "call_problem"]


@pytest.mark.parametrize(
    ("said", "problem", "likely"),
    [
        ((), "no_answer", True),
        ((answer(),), "no_candidates", False),
        ((answer("host", direction="a=recvonly\r\n"),), "no_microphone", False),
        ((answer("host"),), "host_only", True),
        ((answer("host", "srflx"),), "relay_blocked", True),
        ((answer("host", "relay"),), "dtls_failed", True),
    ],
)
async def test_call_that_does_not_connect_is_explained_once(
    said: tuple[str, ...], problem: str, likely: bool
) -> None:
    (line,) = await called(*said)
    assert (line["problem"], line["likely"], line["log_level"]) == (problem, likely, "warning")
    assert line["advice"]
    assert line["session"] == "s-1"
