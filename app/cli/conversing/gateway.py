"""A gateway as seen from the shell: its address, tickets, history and live events."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx
from dotenv import dotenv_values

from app.protocol.errors import ConfigurationError, RelayError
from app.settings.characters import cleaned
from app.settings.checks import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

TIMEOUT: Final = 10.0
TOKENS: Final = "RELAY_SERVICE_TOKENS"
SUBJECT: Final = "shell"


class GatewayFailed(RelayError):  # noqa: N818 - a command prints it and ends with status 1
    """A gateway does not answer, or refuses; its text is for the person at the shell."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where a gateway answers. `token` is a service token, None where there is none.

    `internal` is where `/v1/*` answers, if that is another port.
    """

    base: str
    token: str | None = None
    internal: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, so that no proxy leads there."""
        return is_loopback(urlsplit(self.base).hostname or "")

    def socket_url(self, agent: str | None, **query: str) -> str:
        """The URL of a WebSocket to an agent."""
        path = "/ws" if agent is None else f"/ws/{quote(agent, safe='')}"
        return self.base.replace("http", "ws", 1) + path + (f"?{urlencode(query)}" if query else "")

    def client(self) -> httpx.AsyncClient:
        """A client of `/v1/*`."""
        headers = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        return httpx.AsyncClient(
            base_url=self.internal or self.base,
            headers=headers,
            trust_env=not self.is_local,
            timeout=TIMEOUT,
        )

    async def ticket(self, agent: str | None, subject: str, data: Mapping[str, Any]) -> str | None:
        """Mint a ticket; None without a service token. Raises `GatewayFailed`."""
        if self.token is None:
            return None
        body = {"subject": subject, "call_type": "chat", "additional_data": dict(data)}
        if agent is not None:
            body["agent"] = agent
        answer = await self._asked("POST", "/v1/tickets", json=body)
        return str(answer["ticket"])

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """Ask one of the routes of `/v1/*`. Raises `GatewayFailed`."""
        return await self._asked("GET", path, params=params)

    async def _asked(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            async with self.client() as client:
                answer = await client.request(method, path, **options)
        except httpx.HTTPError as error:
            where = self.internal or self.base
            raise GatewayFailed(f"no gateway answers at {where} ({type(error).__name__})") from None
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        raise GatewayFailed(f"{method} {path}: {problem_in(answer.status_code, answer.content)}")

    async def watch(self, session_id: str) -> AsyncIterator[dict[str, Any] | None]:
        """Follow a session's live events; the first item is None, once they are followed.

        Ends silently where the gateway does not show them.
        """
        path = f"/v1/sessions/{quote(session_id, safe='')}/watch"
        try:
            async with self.client() as client, client.stream("GET", path, timeout=60) as answer:
                if not answer.is_success:
                    return
                yield None
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))
        except (httpx.HTTPError, ValueError):
            return


def problem_in(status: int, body: bytes) -> str:
    """What a `problem+json` says, else the status alone."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    detail = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    return f"the gateway answered {status}" + (f": {detail}" if detail else "")


def base_url(given: str) -> str:
    """A gateway's address as `http(s)://host`, also where it was given as a WebSocket's URL.

    Raises `ConfigurationError`.
    """
    try:
        parts = urlsplit(given if "://" in given else f"http://{given}")
        _ = parts.port
    except ValueError:
        raise ConfigurationError(["--url is no URL"]) from None
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    if scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(
            ["--url must be http://host, https://host, ws://host or wss://host"]
        )
    path = parts.path.rstrip("/").removesuffix("/ws")
    return f"{scheme}://{parts.netloc}{path}"


def variables(dotenv: Path) -> dict[str, str]:
    """The environment over `.env`, as `serve` reads them, unchecked."""
    known = dotenv_values(dotenv, encoding="utf-8-sig") if dotenv.is_file() else {}
    return {name: value for name, value in known.items() if value} | dict(os.environ)


def service_token(known: Mapping[str, str]) -> str | None:
    """The first of `RELAY_SERVICE_TOKENS`, or of the file that `…_FILE` names; None without one."""
    text = known.get(TOKENS, "")
    if not text and (path := known.get(f"{TOKENS}_FILE")):
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            name = f"{TOKENS}_FILE"
            raise ConfigurationError([f"{name}: cannot be read ({type(error).__name__})"]) from None
    return cleaned(text.split(",")[0]) or None


def chosen(url: str | None, known: Mapping[str, str]) -> Gateway:
    """The gateway that `--url` names, else the one of this configuration on this machine."""
    token = service_token(known)
    if url is not None:
        return Gateway(base_url(url), token)
    port = known.get("RELAY_PORT") or known.get("PORT") or "8000"
    internal = known.get("RELAY_INTERNAL_PORT")
    return Gateway(
        f"http://127.0.0.1:{port}", token, f"http://127.0.0.1:{internal}" if internal else None
    )
