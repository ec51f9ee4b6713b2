"""History and results as the application holds them: from a frame to the receiver and back."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from pydantic import SecretStr

from app.history.factory import Clocks, History, Webhook, results_alone, stored_history
from app.history.queue import Bounds
from tests.history.feed import converse, until
from tests.history.receiver import SECRET, Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLOCKS = Clocks(time.monotonic, time.time)
BOUNDS = Bounds(interval=0.01)


@asynccontextmanager
async def webhook_to(receiver: Receiver) -> AsyncIterator[Webhook]:
    async with receiving(receiver), httpx.AsyncClient(trust_env=False) as http:
        yield Webhook(SecretStr(receiver.url), SecretStr(SECRET), http, org_id="org")


@asynccontextmanager
async def at_work(history: History) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(history.run())
        yield
        task.cancel()
    await history.close(20)


async def test_a_stored_conversation_is_read_back_and_its_result_delivered(
    url: SecretStr,
) -> None:
    receiver = Receiver()
    async with webhook_to(receiver) as webhook:
        history = stored_history(url, CLOCKS, replica="r1", webhook=webhook, bounds=BOUNDS)
        async with at_work(history):
            said = converse(history.recorder, "c1", 1, at=time.time() - 60)
            await until(lambda: "msg_c1" in receiver.taken)
            assert history.reader is not None
            page = await history.reader.transcript("c1")
    assert [(t.source, t.text, t.pieces) for t in page.items] == said.turns
    assert receiver.taken["msg_c1"][0]["orgId"] == "org"
    for secret in (SECRET, receiver.url, url.get_secret_value()):
        assert secret not in repr(history)


async def test_a_shutdown_still_stores_and_delivers_what_was_said_last(url: SecretStr) -> None:
    receiver = Receiver()
    async with webhook_to(receiver) as webhook:
        for number in range(2):
            history = stored_history(
                url, CLOCKS, replica=f"r{number}", webhook=webhook, bounds=Bounds(interval=60)
            )
            async with at_work(history):
                converse(history.recorder, f"c{number}", number, at=time.time() - 60)
    assert receiver.taken.keys() == {"msg_c0", "msg_c1"}


async def test_a_shutdown_without_history_still_tries_once() -> None:
    moods = iter(["500"])
    receiver = Receiver(lambda _: next(moods, "ok"))
    async with webhook_to(receiver) as webhook:
        history = results_alone(webhook, CLOCKS, bounds=BOUNDS)
        assert history.reader is None
        async with at_work(history):
            said = converse(history.recorder, "c1", 1, at=time.time() - 60)
            await until(lambda: receiver.tries.get("msg_c1") == 1)
    (body,) = receiver.taken["msg_c1"]
    assert [t["text"] for t in body["transcription"]] == [words for _, words, _ in said.turns]
