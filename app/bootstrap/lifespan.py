"""Runs the parts of an application while it serves, and closes them in order."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

    from app.bootstrap.parts import Application

FLUSH_TIMEOUT = 5.0
# Objects until the collector looks at the young ones. By Python's own 700 it walks what two
# sessions have just made and will keep, again and again: a tenth of what their set-up takes.
GC_THRESHOLDS = (5_000, 10, 10)


def lifespan(built: Application) -> Any:
    """Start the parts, serve, and stop them: what Starlette takes as its lifespan."""

    @asynccontextmanager
    async def running_parts(_: FastAPI) -> AsyncIterator[None]:
        started = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(built.state.run(), name="state"),
                tasks.create_task(built.gateway.run(started), name="gateway"),
                tasks.create_task(built.replicas.run(), name="replicas"),
                tasks.create_task(built.tool_set.run(), name="tools"),
                tasks.create_task(built.token_keeper.run(), name="token_keeper"),
                tasks.create_task(built.integrations.run(), name="integrations"),
                tasks.create_task(built.call_book.run(), name="call_book"),
                tasks.create_task(built.approvals.run(), name="approvals"),
            ]
            if built.history is not None:
                running.append(tasks.create_task(built.history.run(), name="history"))
            if built.events is not None:
                running.append(tasks.create_task(built.events.run(), name="events"))
            if built.probe is not None:
                running.append(tasks.create_task(built.probe.run(), name="upstream_probe"))
            await started.wait()
            gc.collect()
            gc.freeze()  # what was made so far stays: no collection needs to walk it again
            gc.set_threshold(*GC_THRESHOLDS)
            gc.enable()
            async with _answering_others(built):
                yield
            for task in running:
                task.cancel()
        # Side by side: no slow database or collector delays the word to other replicas.
        async with asyncio.TaskGroup() as closing:
            closing.create_task(_sign_off(built), name="close:state")
            closing.create_task(built.traces.close(), name="close:traces")
            closing.create_task(_close_history(built), name="close:history")
        await built.egress.close()
        await built.keyring.close()
        await built.vendor_calls.close()

    return running_parts


def _answering_others(built: Application) -> AbstractAsyncContextManager[None]:
    """Let other workers ask for this one's metrics."""
    return nullcontext() if built.worker_metrics is None else built.worker_metrics.answering()


async def _close_history(built: Application) -> None:
    """Keep and deliver what is left; events wait in the same database, so they are first."""
    if built.events is not None:
        await built.events.close(FLUSH_TIMEOUT)
    if built.history is not None:
        await built.history.close(FLUSH_TIMEOUT)


async def _sign_off(built: Application) -> None:
    """Let other replicas know that this one is gone."""
    await built.replicas.close()
    await built.state.close()
