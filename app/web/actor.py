"""Who asks `/v1/*`, and what they may do: a backend by its token, a person at the console."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from fastapi import Request


class Role(IntEnum):
    """What an actor may do; each role may do all that the ones before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Actor:
    """The authenticated caller of a route.

    `name` is what the audit log shows: never a credential. `tenant` is None for the operator of the
    gateway, who sees every tenant's objects. `content`: may see what was said in live sessions, and
    `history` in stored ones. `subject` is a person's identifier at the OpenID Connect provider,
    which stays when a name changes; None for a backend.
    """

    name: str
    role: Role = Role.ADMIN
    tenant: str | None = None
    content: bool = True
    history: bool = True
    subject: str | None = None

    @property
    def is_person(self) -> bool:
        """Whether it is a person who has signed in at the console."""
        return self.subject is not None


def actor_of(request: Request) -> Actor:
    """The actor that the route's guard has authenticated."""
    return cast("Actor", request.state.actor)
