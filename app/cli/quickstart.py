"""What `make run` sets up without an API key: the emulator, the demo page, open authentication."""

from __future__ import annotations

import json
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from app.settings import Settings

DEMO_KEY: Final = "emulator-key"


def _agent(name: str, **more: Any) -> dict[str, Any]:
    return {"initialize": {"additionalData": {"agent": name}}, **more}


DEMO_AGENTS: Final = {
    # Without an agent's name the emulator has one for each call type: `support` and `voice`.
    "support": {"call_types": ["chat", "webCall"], "browser_tools": ["show_order"]},
    "echo": _agent("echo", call_types=["chat"]),
    "voice": _agent("voice", call_types=["webCall"]),
    "phone": _agent("phone", call_types=["onPhone"], phone_numbers=[r"\+1555\d{7}"]),
}


def demo_environment(upstream_port: int) -> dict[str, str]:
    """The variables of a gateway that talks to the emulator on this machine."""
    return {
        "RELAY_BLACKBOX_API_KEY": DEMO_KEY,
        "RELAY_BLACKBOX_URL": f"ws://127.0.0.1:{upstream_port}",
        "RELAY_AUTH": "open",
        "RELAY_AGENTS": json.dumps(DEMO_AGENTS),
        "RELAY_TOOLS": "app.examples.support_tools",
        "RELAY_DEMO": "true",
        "RELAY_SERVICE_TOKENS": "demo-service-token",
        "RELAY_CONTENT_TOKENS": "demo-service-token",
        "RELAY_LOG_FORMAT": "console",
        "RELAY_DRAIN_DELAY": "0",
        "RELAY_DRAIN_TIMEOUT": "5",
    }


def free_port() -> int:
    """A free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def welcome(settings: Settings, *, emulated: bool) -> None:
    """Say where to look, and loudly what is not for production."""
    base = f"http://127.0.0.1:{settings.port}"
    lines = ["", "  Blackbox Relay"]
    if emulated:
        lines += [
            "",
            "  No RELAY_BLACKBOX_API_KEY: talking to the bundled EMULATOR, not to Dasha.",
            "  Authentication is OPEN. This is for trying out, never for production.",
        ]
    lines.append("")
    if settings.demo:
        lines.append(f"  Demo page   {base}/demo")
    lines.append(f"  Console     {base}/console")
    lines += [f"  Browsers    ws://127.0.0.1:{settings.port}/ws", ""]
    print("\n".join(lines), file=sys.stderr, flush=True)
