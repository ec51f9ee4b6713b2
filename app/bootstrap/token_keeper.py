"""Keeps the minted tokens of the agents that there are valid; agents may come and go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from app.upstream.token_refresh import RefreshingToken


class TokenKeeper:
    """Renews tokens while `run` runs; `keep` says which. Clients are closed at the end."""

    def __init__(self, tokens: Iterable[RefreshingToken], client: httpx.AsyncClient) -> None:
        self._tokens = tuple(tokens)
        self._clients = [client]
        self._running: dict[RefreshingToken, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Renew until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._start()
                await asyncio.Event().wait()
        finally:
            for client in self._clients:
                await client.aclose()

    def keep(
        self, tokens: Iterable[RefreshingToken], client: httpx.AsyncClient
    ) -> list[httpx.AsyncClient]:
        """Renew these from now on, and no others; `client` is that of the new ones.

        Returns the client if there are none.
        """
        before, self._tokens = self._tokens, tuple(tokens)
        self._start()
        if set(self._tokens) <= set(before):
            return [client]
        self._clients.append(client)
        return []

    def _start(self) -> None:
        if self._tasks is None:
            return
        for token in self._running.keys() - set(self._tokens):
            self._running.pop(token).cancel()
        for token in self._tokens:
            if token not in self._running:
                self._running[token] = self._tasks.create_task(token.run(), name="token_refresh")
