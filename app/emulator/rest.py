"""The vendor's REST calls.

`ws/info` (D), `misc/concurrency` (L), minting a token (D L), listing and revoking tokens (?),
`discover` (D), calls (D).
"""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING, Any, Final

from app.emulator.http import Answer, Request, problem
from app.emulator.integration import CORS

if TYPE_CHECKING:
    from app.emulator.calls import Calls
    from app.emulator.concurrency import Concurrency
    from app.emulator.integration import Integration
    from app.emulator.options import Options
    from app.emulator.tokens import Tokens

DEV: Final = "/api/v1/ws/dev"
WEB_CALL: Final = "/api/v1/ws/webCall"
INFO: Final = "/api/v1/ws/info"
CONCURRENCY: Final = "/api/v1/misc/concurrency"
INTEGRATIONS: Final = "/api/v1/web-integrations/"
DISCOVER: Final = INTEGRATIONS + "discover"
CALLS: Final = "/api/v1/calls"
MESSAGE_TYPES: Final = (
    "initialize",
    "incomingChatMessage",
    "sdpAnswer",
    "websocketToolResponse",
    "terminate",
)


class Rest:
    """Answers the vendor's HTTP routes."""

    def __init__(
        self,
        options: Options,
        tokens: Tokens,
        concurrency: Concurrency,
        integration: Integration,
        calls: Calls,
    ) -> None:
        self._options = options
        self._concurrency = concurrency
        self._tokens = tokens
        self._integration = integration
        self._calls = calls

    def answer(self, request: Request) -> Answer | None:
        """Answer a request; `None` if the route is none of the vendor's."""
        if request.path == INFO:
            return Answer(200, info()) if request.method == "GET" else problem(405, "Use GET")
        if request.path == DISCOVER:
            return self._discover(request)
        if request.path == CALLS or request.path.startswith(CALLS + "/"):
            if not self._authorized(request):
                return problem(401, "Unauthorized")
            return self._calls.answer(request, request.path.removeprefix(CALLS).strip("/"))
        if request.path == CONCURRENCY:
            return self._usage(request)
        match request.path.removeprefix(INTEGRATIONS).split("/"):
            case [integration, "tokens"] if request.path.startswith(INTEGRATIONS):
                return self._tokens_of(integration, request)
            case [integration, "tokens", token_id] if request.path.startswith(INTEGRATIONS):
                return self._one_token(integration, token_id, request)
        return None

    def _discover(self, request: Request) -> Answer:
        if request.method == "OPTIONS":
            return Answer(204, None, CORS)
        if request.method != "GET":
            return problem(405, "Use GET")
        integration = self._tokens.integration_of(request.query.get("token", ""))
        if integration is None:
            return Answer(401, {"status": 401, "message": "Invalid token"}, CORS)
        return self._integration.answer(integration)

    def _usage(self, request: Request) -> Answer:
        if not self._authorized(request):
            return problem(401, "Unauthorized")
        if request.method != "GET":
            return problem(405, "Use GET")
        return Answer(200, self._concurrency.view())

    def _tokens_of(self, integration: str, request: Request) -> Answer:
        if not self._authorized(request):
            return problem(401, "Unauthorized")
        if request.method == "GET":  # (?): to see what a gateway minted
            tokens = self._tokens.of(integration)
            return Answer(200, [token.view(with_secret=False) for token in tokens])
        if request.method != "POST":
            return problem(405, "Use GET or POST")
        return self._mint(integration, request.json())

    def _mint(self, integration: str, body: dict[str, Any]) -> Answer:
        name, expires_at = body.get("name"), body.get("expiresAt")
        if not isinstance(name, str) or not name:
            return problem(400, "name is required")
        try:
            expiry = None if expires_at is None else _instant(expires_at)
        except (TypeError, ValueError):
            return problem(400, "expiresAt must be an ISO 8601 time")
        token = self._tokens.mint(integration, name, expiry)
        if token is None:
            return problem(409, "A token with this name already exists")
        return Answer(201, token.view(with_secret=True))

    def _one_token(self, integration: str, token_id: str, request: Request) -> Answer:
        if not self._authorized(request):
            return problem(401, "Unauthorized")
        if request.method != "DELETE":  # (?): to see what a gateway does without its token
            return problem(405, "Use DELETE")
        revoked = self._tokens.revoke(integration, token_id)
        return Answer(204) if revoked else problem(404, "No such token")

    def _authorized(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return secrets.compare_digest(given.encode(), f"Bearer {self._options.api_key}".encode())


def info() -> dict[str, Any]:
    """Describe the WebSocket endpoints as the vendor does (D)."""
    endpoints = (
        (DEV, "Development WebSocket for testing agents", "authorization"),
        (WEB_CALL, "Production WebSocket of web integrations", "token"),
    )
    return {
        "endpoints": [
            {
                "path": path,
                "description": description,
                "requiredParameters": [parameter],
                "optionalParameters": [],
                "supportedMessageTypes": list(MESSAGE_TYPES),
            }
            for path, description, parameter in endpoints
        ],
        "version": "emulator",
        "status": "ok",
    }


def _instant(text: str) -> dt.datetime:
    instant = dt.datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)
