"""What people print when they look for a fault: it holds no secret either."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from app.auth.connect_request import ConnectRequest
from app.auth.proxies import Peer
from app.auth.ticket import TicketRequest, Tickets
from app.bootstrap.application import build
from app.cli import main
from app.settings import load
from app.state.memory import MemoryState
from tests.e2e.canaries import SECRETS
from tests.support.canary import reveals_nothing

if TYPE_CHECKING:
    from pathlib import Path


def environment(**more: str) -> dict[str, str]:
    agents = {
        "default": {},
        "other": {"upstream": "webcall", "web_integration_token": SECRETS["web integration token"]},
    }
    tool = {"url": "https://x.example", "headers": {"x-secret": SECRETS["tool's header"]}}
    return {
        "RELAY_BLACKBOX_API_KEY": SECRETS["API key"],
        "RELAY_SERVICE_TOKENS": SECRETS["service token"],
        "RELAY_AUTH": "ticket,jwt",
        "RELAY_JWT_SECRET": SECRETS["JWT secret"],
        "RELAY_AGENTS": json.dumps(agents),
        "RELAY_HTTP_TOOLS": json.dumps({"hook": tool}),
        "RELAY_RESULT_WEBHOOK_URL": "https://x.example",
        "RELAY_RESULT_WEBHOOK_SECRET": SECRETS["result secret"],
        "RELAY_EVENT_WEBHOOKS": json.dumps(
            [{"url": "https://x.example", "secret": SECRETS["event secret"]}]
        ),
        **more,
    }


async def test_no_representation_holds_a_secret() -> None:
    settings = load(environment())
    built = build(settings)
    said = [repr(settings), str(settings), repr(built), *map(repr, vars_of(built))]
    minted = await Tickets(MemoryState("replica")).mint(TicketRequest("u"))
    secrets = SECRETS | {"ticket": minted.ticket.get_secret_value()}
    headers = {"authorization": f"Bearer {secrets['ticket']}"}
    query = f"ticket={secrets['ticket']}".encode()
    peer = Peer("127.0.0.1", "http")
    request = ConnectRequest.read(headers, query, path="/ws", agent=None, peer=peer)
    said += [repr(minted), repr(request), repr(request.credential)]
    reveals_nothing("a representation", "\n".join(said), secrets)
    assert repr(built.gateway) == f"<Gateway {built.gateway.replica}: 0 live, 0 reserved>"
    await built.egress.close()


def vars_of(built: Any) -> list[Any]:
    """The parts of the application, and theirs: whatever a debugger or a traceback would print."""
    found: list[Any] = []
    waiting = [built]
    while waiting and len(found) < 2000:
        item = waiting.pop(0)
        if not type(item).__module__.startswith("app.") or any(item is one for one in found):
            continue
        found.append(item)
        names = [*getattr(type(item), "__slots__", ()), *getattr(item, "__dict__", ())]
        values = [getattr(item, name, None) for name in names if isinstance(name, str)]
        waiting += [part for value in values for part in parts_of(value)]
    return found


def parts_of(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"RELAY_PORT": SECRETS["API key"], "RELAY_AUTH": SECRETS["service token"]},
        {"RELAY_BLACKBOX_URL": f"ws://x:{quote(SECRETS['API key'], safe='')}@evil.example/"},
        {"RELAY_STATE_URL": f"nonsense://:{quote(SECRETS['API key'], safe='')}@x"},
        {"RELAY_AGENTS": json.dumps({"x": {"blackbox_api_key": [SECRETS["API key"]]}})},
        {"RELAY_SERVICE_TOKEN": SECRETS["service token"]},
        {"RELAY_RESULT_WEBHOOK_SECRET": SECRETS["API key"]},
    ],
    ids=["valid", "types", "URL", "state", "agent", "unknown", "webhook"],
)
def test_checking_a_configuration_prints_no_secret(
    more: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    for name in tuple(os.environ):
        if name.startswith("RELAY_"):
            monkeypatch.delenv(name)
    for name, value in environment(**more).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)  # where no .env is
    assert main(["check"]) == (2 if more else 0)
    printed = capsys.readouterr()
    said = printed.out + printed.err
    assert "RELAY_" in said
    reveals_nothing("check", said, SECRETS)
