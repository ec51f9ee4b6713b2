"""Made-up conversations: what is fed to the recorder, and what must be found again."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from app.history.interface import ConversationStart, Direction
from app.history.queue import Bounds
from app.protocol.close_codes import ENDED
from app.protocol.tool import Outcome, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import Executable, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from app.history.recorder import QueueRecorder
    from app.protocol.close_codes import CloseReason

UP, DOWN = Direction.FROM_BROWSER, Direction.FROM_UPSTREAM
QUICK = Bounds(interval=0.01, slowest_retry=0.2, busy_rate=1e6)
NOW = 1_790_000_000.0
WORDS = [
    *("Привет", "hello", "naïve", "你好", "order", "17", "«quoted»", '"double"', "a"),
    *("back\\slash", "🙂", "line\nbreak"),
]


def start(conversation_id: str, subject: str = "ann", **more: Any) -> ConversationStart:
    values: dict[str, Any] = {
        "id": conversation_id,
        "agent": "support",
        "call_type": "chat",
        "subject": subject,
        "endpoint": None,
        "additional_data": {"customer": subject},
        "started_at": NOW,
    }
    return ConversationStart(**values | more)


def text(source: str, said: str, **more: Any) -> bytes:
    content = {"source": source, "text": said, **more}
    return json.dumps({"type": "text", "timestamp": "x", "content": content}).encode()


def event(name: str, data: Any = None) -> bytes:
    return json.dumps({"type": "event", "name": name, "data": data}).encode()


def result(**values: Any) -> bytes:
    return json.dumps({"type": "conversationResult", "result": values}).encode()


def order_tool(number: int) -> tuple[ToolCall, ToolResult]:
    call = ToolCall(f"call-{number}", "check_order", {"order": number})
    return call, ToolResult(call.id, {"state": "sent"}, Outcome.OK)


@dataclass
class Said:
    """What one conversation fed, and the turns that must come out of it."""

    id: str
    turns: list[tuple[str, str, int]] = field(default_factory=list)
    frames: int = 0
    tools: int = 0


def converse(
    recorder: QueueRecorder,
    name: str,
    seed: int,
    turns: int = 6,
    reason: CloseReason = ENDED,
    at: float = NOW,
) -> Said:
    """Feed a whole conversation at once; its turns come in random pieces."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    said = Said(name)
    recorder.started(start(name, subject=f"subject-{seed % 10}", started_at=at))
    recorder.frame(name, DOWN, at, event("connection", {"recordId": name}))
    for number in range(turns):
        source = "assistant" if number % 2 == 0 else "user"
        pieces = [
            " ".join(chance.choices(WORDS, k=chance.randint(1, 6))) + " "
            for _ in range(chance.randint(1, 4))
        ]
        said.turns.append((source, "".join(pieces), len(pieces)))
        for piece in pieces:
            recorder.frame(name, DOWN, at + number, text(source, piece))
        said.frames += len(pieces)
        if chance.random() < 0.3:
            recorder.tool(name, *order_tool(number), at + number, 0.25)
            said.tools += 1
    recorder.frame(name, DOWN, at + turns, result(status="Completed", finishReason="done"))
    recorder.ended(name, reason, at + turns)
    said.frames += 2
    return said


@asynccontextmanager
async def running(recorder: QueueRecorder, flush: float = 60.0) -> AsyncIterator[QueueRecorder]:
    """Run the recorder as the application does: cancelled at the end, then flushed."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.run())
        try:
            yield recorder
        finally:
            task.cancel()
    await recorder.flush(flush)


async def found(database: Database, query: Executable) -> Sequence[Row[Any]]:
    """Return the rows that a query finds."""

    async def work(connection: AsyncConnection) -> Sequence[Row[Any]]:
        return (await connection.execute(query)).all()

    return await database.run(work)


async def until(condition: Any, seconds: float = 60.0) -> None:
    """Wait for a condition on the event loop; a missed deadline is a failure."""
    give_up = monotonic() + seconds
    while not condition():
        assert monotonic() < give_up, "waited in vain"
        await asyncio.sleep(0.005)
