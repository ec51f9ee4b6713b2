"""Numbered texts both ways with tools between: what proves that nothing is lost or overtaken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.support.browser import browser

if TYPE_CHECKING:
    import asyncio

TEXTS = 20
EVERY = 5


async def converse(url: str, seat: asyncio.Barrier | None = None) -> dict[str, Any]:
    """Hold one conversation with the counter; return its report. All go on when all are there."""
    async with browser(url) as page:
        settings: dict[str, Any] = {
            "count": TEXTS,
            "toolEvery": EVERY,
            "expect": TEXTS,
            "tool": "order",
        }
        await page.wish(marker=uuid4().hex, echoUser=False, **settings)
        await page.connected()
        if seat is not None:
            await seat.wait()
        for number in range(1, TEXTS + 1):
            await page.say(f"#{number}")
        assert await page.closed() == 1000
    said = [
        frame["content"]["text"]
        for frame in page.frames
        if frame["type"] == "text" and frame["content"]["source"] == "assistant"
    ]
    assert said == [f"#{number}" for number in range(1, TEXTS + 1)]
    assert not [frame for frame in page.frames if frame["type"] == "error"]
    report: dict[str, Any] = next(
        frame["result"] for frame in page.frames if frame["type"] == "conversationResult"
    )
    assert report["user"]["ok"], report
    assert report["user"]["received"] == TEXTS
    assert report["toolCalls"] == TEXTS // EVERY
    assert report["toolErrors"] == []
    return report
