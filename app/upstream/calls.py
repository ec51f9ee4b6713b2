"""Asks the vendor's REST about one call: `GET /api/v1/calls/{id}` (D), with the API key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import structlog

from app.egress import FAILURES, AnswerRefused, cause_of, json_of, read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx
    from pydantic import SecretStr

log = structlog.get_logger(__name__)

CALLS: Final = "/api/v1/calls/"
TIMEOUT: Final = 5.0
MAX_ANSWER: Final = 256 << 10
OK: Final = 200


class VendorCalls:
    """Looks calls up. `accounts` maps an agent to the vendor's base URL and its API key."""

    def __init__(
        self, accounts: Mapping[str, tuple[str, SecretStr]], client: httpx.AsyncClient
    ) -> None:
        self._accounts = accounts
        self._client = client

    async def look_up(self, agent: str, call_id: str) -> Mapping[str, Any]:
        """What the vendor says of a call; nothing where it cannot be asked. Raises nothing."""
        account = self._accounts.get(agent)
        if account is None:
            return {}
        base, key = account
        url = base.replace("ws", "http", 1).rstrip("/") + CALLS + quote(call_id, safe="")
        headers = {"authorization": f"Bearer {key.get_secret_value()}"}
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._client.stream("GET", url, headers=headers) as response,
            ):
                body = await read_bounded(response, MAX_ANSWER)
                status = response.status_code
            answer = json_of(body) if status == OK else None
        except AnswerRefused as refused:
            return self._failed(agent, refused.cause)
        except FAILURES as error:
            return self._failed(agent, cause_of(error))
        if not isinstance(answer, dict):
            return self._failed(agent, "not_an_object" if status == OK else f"http_{status}")
        secret = key.get_secret_value()
        return {
            name: value
            for name, value in answer.items()
            if not (isinstance(value, str) and secret in value)
        }

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.aclose()

    def _failed(self, agent: str, cause: str) -> Mapping[str, Any]:
        advice = "the call's inspectorUrl stays unknown; see the vendor's REST and the API key"
        log.info("call_lookup_failed", agent=agent, cause=cause, advice=advice)
        return {}
