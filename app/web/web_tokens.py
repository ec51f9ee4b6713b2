"""Tokens in the vendor's shape, for backends made for the vendor: they change their base URL alone.

`POST /api/v1/web-integrations/{id}/tokens` (D L), with a service token where the vendor takes the
account's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.auth.web_token import WebTokens
from app.protocol.initialize import Profile
from app.protocol.web_token import TokenConflict
from app.web.actor import actor_of
from app.web.agents import named
from app.web.audit import Audit, subject_digest
from app.web.problems import Problem
from app.web.tenancy import visible, visible_profiles
from app.web.times import with_zone

TOKENS: Final = "/api/v1/web-integrations/{integration}/tokens"
NAME_TAKEN: Final = "A token with this name already exists."
FULL: Final = "Too many tokens are valid: delete some, or mint them with a nearer expiresAt."
NO_INTEGRATION: Final = "No agent has this name or web_integration_id."
UNKNOWN: Final = "There is no such token."
RETRY_AFTER: Final = {"retry-after": "60"}


class TokenBody(BaseModel):
    """A token's name, unique within the integration, and when it expires.

    Without `expiresAt` it lives 30 days. Members that the gateway does not know are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, Field(min_length=1, max_length=256)]
    expires_at: Annotated[AwareDatetime | None, BeforeValidator(with_zone)] = Field(
        None, alias="expiresAt"
    )


class TokenAnswer(BaseModel):
    """A token; it is shown this once. `expiresAt` says when it really expires."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    token_id: str
    token: str
    name: str
    created_at: datetime
    expires_at: datetime


def routes(tokens: WebTokens, profiles: Mapping[str, Profile], audit: Audit) -> APIRouter:
    """`POST` and `DELETE` of tokens; `{integration}` names an agent or its integration."""
    router = APIRouter(tags=["vendor"])

    @router.post(TOKENS, status_code=201, response_model=TokenAnswer)
    async def mint(integration: str, body: TokenBody, request: Request, response: Response) -> Any:
        """Mint a token that lets pages talk to this agent until it expires or is revoked."""
        profile = named(visible_profiles(request, profiles), integration)
        if profile is None:
            return Problem(404, "no_such_integration", NO_INTEGRATION)
        expires_at = None if body.expires_at is None else body.expires_at.timestamp()
        try:
            minted = await tokens.mint(
                integration, profile.name, body.name, expires_at, profile.tenant
            )
        except ValueError as fault:
            return Problem(422, "invalid", str(fault))
        if minted is TokenConflict.NAME:
            return Problem(409, "name_taken", NAME_TAKEN)
        if minted is TokenConflict.FULL:
            return Problem(429, "too_many_tokens", FULL, RETRY_AFTER)
        response.headers["cache-control"] = "no-store"
        return TokenAnswer(
            token_id=minted.id,
            token=minted.token.get_secret_value(),
            name=minted.name,
            created_at=datetime.fromtimestamp(minted.created_at, UTC),
            expires_at=datetime.fromtimestamp(minted.expires_at, UTC),
        )

    @router.delete(TOKENS + "/{token_id}", status_code=204)
    async def revoke(integration: str, token_id: str, request: Request) -> Response:
        """Revoke a token; its live sessions end with 4401 within 5 seconds."""
        if not await tokens.revoke(integration, token_id, partial(visible, request)):
            return Problem(404, "no_such_token", UNKNOWN)
        await audit.record(actor_of(request), "credential.revoke", subject_digest(token_id))
        return Response(status_code=204)

    return router
