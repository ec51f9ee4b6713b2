"""Refusals over HTTP: `application/problem+json` (RFC 9457), never a traceback or an echo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.protocol.close_codes import OVERLOADED
from app.protocol.errors import Refusal, StoreUnavailable

log = structlog.get_logger(__name__)
RETRY_AFTER = 5.0


NOT_JSON = "The body is read as JSON alone: send Content-Type: application/json."


class Problem(JSONResponse):
    """One problem: `title` names its kind, `detail` is a sentence for the caller."""

    media_type = "application/problem+json"

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        content = {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": detail,
            **more,
        }
        self.document = content
        super().__init__(content, status, headers={"cache-control": "no-store", **(headers or {})})


def problem_for(refusal: Refusal) -> Problem:
    """The problem that a refusal is to a client which is no browser."""
    reason, wait = refusal.reason, refusal.retry_after
    if wait is None and reason.retry_after:
        wait = RETRY_AFTER
    headers = {} if wait is None else {"retry-after": str(math.ceil(wait))}
    if reason.http == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Problem(
        reason.http,
        reason.name,
        refusal.message,
        headers,
        code=reason.code,
        retry=reason.retry.value,
    )


def install(app: FastAPI) -> None:
    """Answer every error of an application with a problem."""

    async def on_http(_: Request, error: HTTPException) -> Problem:
        phrase = HTTPStatus(error.status_code).phrase
        return Problem(error.status_code, phrase, str(error.detail), error.headers)

    async def on_invalid(request: Request, error: RequestValidationError) -> Problem:
        if any(fault["loc"][0] == "body" for fault in error.errors()) and not _is_json(request):
            return Problem(415, "Unsupported Media Type", NOT_JSON)
        faults = [
            {"at": ".".join(str(part) for part in fault["loc"]), "fault": fault["msg"]}
            for fault in error.errors()
        ]
        return Problem(422, "invalid", "The request does not fit its schema.", faults=faults)

    async def on_refusal(_: Request, error: Refusal) -> Problem:
        return problem_for(error)

    async def on_state_lost(_: Request, __: StoreUnavailable) -> Problem:
        return problem_for(
            Refusal(OVERLOADED, "The state store does not answer.", retry_after=RETRY_AFTER)
        )

    async def on_bug(_: Request, error: Exception) -> Problem:
        log.error("request_crashed", exc_info=error)
        return Problem(500, "internal_error", "Something went wrong on our side.")

    for kind, handler in (
        (HTTPException, on_http),
        (RequestValidationError, on_invalid),
        (Refusal, on_refusal),
        (StoreUnavailable, on_state_lost),
        (Exception, on_bug),
    ):
        app.add_exception_handler(kind, handler)  # type: ignore[arg-type]


def _is_json(request: Request) -> bool:
    """Whether a request's body says that it is JSON, or there is none."""
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return True
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )
