"""`blackbox-relay doctor` on a vendor's web integration: what is off there that is relied on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import gateway as processes
from tests.support.doctor import run_doctor
from tests.support.plain import plain_client

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "canary+doctor/token=1"
FEATURES = (
    *("AllowWebChat", "AllowWebCall", "SendCallResult", "SendTranscriptForAudioCall"),
    "SendToolCallLogs",
)


async def doctor(vendor: processes.Emulator, history: Path, **agent: Any) -> tuple[int, str]:
    given = {
        "RELAY_BLACKBOX_URL": vendor.url,
        "RELAY_UPSTREAM": "webcall",
        "RELAY_WEB_INTEGRATION_TOKEN": TOKEN,
        "RELAY_HISTORY_URL": f"sqlite+aiosqlite:///{history}",
        "RELAY_TOOLS": "app.examples.support_tools",
        "RELAY_AGENTS": json.dumps({"shop": agent}),
    }
    return await run_doctor(environment=given, secrets=(TOKEN,))


@pytest.mark.asyncio
async def test_features_that_are_off_and_tools_that_are_missing_are_named(tmp_path: Path) -> None:
    async with processes.emulator("--token", TOKEN) as vendor, plain_client() as client:
        url = f"http://127.0.0.1:{vendor.port}/emulator/discover"
        off = [{"name": name, "enabled": False} for name in FEATURES]
        await client.post(url, json={"features": off, "enabled": False, "tools": ["show_order"]})
        status, said = await doctor(
            vendor, tmp_path / "h.db", browser_tools=["show_order", "zoom"], hide=[]
        )
        assert status == 1
        assert "✗ shop: web integration: is not enabled" in said
        assert "✗ shop: AllowWebChat: is off: chats are refused" in said
        assert "✗ shop: AllowWebCall: is off: web calls are refused" in said
        assert "• shop: SendCallResult: is off: results stay empty" in said
        assert "• shop: SendTranscriptForAudioCall: is off: web calls leave no transcript" in said
        assert "• shop: SendToolCallLogs: is off" in said
        assert "not listed by the integration: check_order_status" in said
        assert "zoom" in said

        # What is off but not relied on is no finding: calls of an agent that only chats.
        chat = [{"name": n, "enabled": n in ("AllowWebChat", "SendCallResult")} for n in FEATURES]
        await client.post(url, json={"features": chat})
        status, said = await doctor(vendor, tmp_path / "h.db", call_types=["chat"], tools=[])
        assert (status, "✓ shop: web integration" in said) == (0, True)

        await client.post(url, json={"raw": []})
        status, said = await doctor(vendor, tmp_path / "h.db", call_types=["chat"])
        assert status == 0
        assert "tells nothing (malformed_answer)" in said
