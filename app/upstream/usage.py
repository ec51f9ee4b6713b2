"""How many sessions the vendor's organisation has, and may have.

`GET /api/v1/misc/concurrency` with the API key answers `{active, concurrency}` (L), of the whole
organisation.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from app.egress import FAILURES, AnswerRefused, cause_of, json_of, read_bounded
from app.protocol.close_codes import UPSTREAM_FAILED
from app.protocol.errors import UpstreamError

if TYPE_CHECKING:
    import httpx
    from pydantic import SecretStr

PATH: Final = "/api/v1/misc/concurrency"
TIMEOUT: Final = 5.0
MAX_ANSWER: Final = 64 << 10
OK: Final = 200


class VendorUsage:
    """Asks the vendor at `base` (`https://host`) with the account's key."""

    def __init__(self, base: str, api_key: SecretStr, client: httpx.AsyncClient) -> None:
        self._url = base.rstrip("/") + PATH
        self._headers = {"authorization": f"Bearer {api_key.get_secret_value()}"}
        self._client = client

    def __repr__(self) -> str:
        return "VendorUsage()"

    async def __call__(self) -> tuple[int, int]:
        """Return (active, concurrency). Raises `UpstreamError`, its message a word for logs."""
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._client.stream("GET", self._url, headers=self._headers) as response,
            ):
                content = await read_bounded(response, MAX_ANSWER)
                status = response.status_code
        except FAILURES as error:
            raise UpstreamError(UPSTREAM_FAILED, cause_of(error)) from None
        if status != OK:
            raise UpstreamError(UPSTREAM_FAILED, f"status_{status}")
        try:
            answer = json_of(content)
        except AnswerRefused:
            answer = None
        return _figures(answer)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()


def _figures(answer: Any) -> tuple[int, int]:
    found = answer if isinstance(answer, dict) else {}
    active, concurrency = found.get("active"), found.get("concurrency")
    if not (type(active) is int and type(concurrency) is int and min(active, concurrency) >= 0):
        raise UpstreamError(UPSTREAM_FAILED, "unexpected_answer")
    return active, concurrency
