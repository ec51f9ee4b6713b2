"""Request bodies, bounded in bytes while they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import AfterValidator

from app.protocol.codec import MAX_DEPTH, depth
from app.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.responses import Response
    from starlette.types import Message, Receive

MAX_BODY: Final = 64 * 1024


def _not_too_deep(value: dict[str, Any]) -> dict[str, Any]:
    if depth(value) > MAX_DEPTH:
        raise ValueError(f"may nest {MAX_DEPTH} levels deep")
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_not_too_deep)]
"""An object of a body that nests no deeper than a frame may."""


class _TooLarge(BaseException):
    """A body is larger than may be; no handler of `Exception` in between may turn it around."""


class BoundedRoute(APIRoute):
    """A route that answers 413 to a body of more than `MAX_BODY` bytes, unread."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route's handler."""
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            length = request.headers.get("content-length", "0")
            if length.isdecimal() and len(length) < 20 and int(length) <= MAX_BODY:  # noqa: PLR2004
                try:
                    return await handle(Request(request.scope, _limited(request.receive)))
                except _TooLarge:
                    pass
            return too_large("body", MAX_BODY)

        return bounded


def too_large(member: str, limit: int) -> Problem:
    """The refusal of what has more bytes than it may."""
    detail = f"{member} may have {limit} bytes."
    return Problem(413, "too_large", detail, member=member, limit=limit)


def _limited(receive: Receive) -> Receive:
    size = 0

    async def receiving() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY:
            raise _TooLarge
        return message

    return receiving
