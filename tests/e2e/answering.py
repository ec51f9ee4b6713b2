"""What the vendor was answered to its tool requests, and how that was counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway


async def answers(vendor: Emulator, marker: str) -> list[Any]:
    """What the vendor was answered, in order; each request once."""
    conversation = await vendor.conversation(marker, ended=True)
    assert conversation["violations"] == []
    frames = [kept["frame"] for kept in conversation["received"]]
    responses = [frame for frame in frames if frame["type"] == "websocketToolResponse"]
    assert all("channelId" in frame and "timestamp" in frame for frame in responses)
    return [frame["content"]["result"] for frame in responses]


async def calls(calm: Gateway, tool: str, outcome: str) -> float:
    return await calm.metric(f'relay_tool_calls_total{{outcome="{outcome}",tool="{tool}"}}')
