"""Revoking a credential: its sessions end, and it is refused from then on, on every replica."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.protocol.tenant import scoped
from app.state.interface import State
from app.web.actor import actor_of
from app.web.audit import Audit, subject_digest

DAY: Final = 24 * 3600.0
MAX_TTL: Final = 400 * DAY


class RevocationBody(BaseModel):
    """Which credential, and for how many seconds: at least as long as it could still be used.

    `credential_id` is a ticket's `id` (see `POST /v1/tickets`); a JWT's `jti`, or where it has
    none the SHA-256 of its first two parts with the dot between them (not of the signature), in
    lower-case hexadecimal; or the `credential_id` that forward authentication answered; or
    `console:` and the `sub` of a person who signed in at the console.
    """

    model_config = ConfigDict(extra="forbid")

    credential_id: Annotated[str, Field(min_length=1, max_length=512)]
    ttl: Annotated[float, Field(gt=0, le=MAX_TTL)] = DAY


def routes(state: State, audit: Audit) -> APIRouter:
    """`POST /v1/revocations`."""
    router = APIRouter(tags=["revocations"])

    @router.post("/v1/revocations", status_code=204)
    async def revoke(body: RevocationBody, request: Request) -> Response:
        """Revoke a credential; its live sessions end with 4401 within 5 seconds.

        A tenant's revocation holds for that tenant's sessions alone.
        """
        actor = actor_of(request)
        await state.revoke(scoped(body.credential_id, actor.tenant), body.ttl)
        await audit.record(actor, "credential.revoke", subject_digest(body.credential_id))
        return Response(status_code=204)

    return router
