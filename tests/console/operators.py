"""People at the console, as browsers without a page: they sign in, and ask by their cookie."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.plain import plain_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.support.oidc import Provider

VIEWER = {"sub": "viewer-1", "email": "vera@example.com", "roles": ["viewer", "something"]}
OPERATOR = {"sub": "operator-1", "email": "otto@example.com", "roles": "operator"}
ADMIN = {"sub": "admin-1", "email": "ada@example.com", "roles": ["viewer", "admin"]}
PEOPLE: dict[str, dict[str, Any]] = {"viewer": VIEWER, "operator": OPERATOR, "admin": ADMIN}


class Person:
    """A browser of one person; `client` holds its cookies."""

    def __init__(self, base: str, client: httpx.AsyncClient) -> None:
        self.base = base
        self.client = client

    async def begin(self) -> str:
        """Go to the provider: the URL that it sends the browser back to."""
        sent = await self.client.get(f"{self.base}/console/sign-in")
        assert sent.status_code == 303, sent.text
        answered = await self.client.get(sent.headers["location"])
        assert answered.status_code == 302, answered.text
        return answered.headers["location"]

    async def sign_in(self, *, by: str | None = None) -> httpx.Response:
        """Sign in; the answer to the provider's redirect, at this or another replica."""
        back = await self.begin()
        if by is not None:
            back = back.replace(self.base, by)
        return await self.client.get(back)

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask as the console's own page does."""
        headers = {"origin": self.base, "x-relay-console": "1"} | more.pop("headers", {})
        return await self.client.request(method, f"{self.base}{path}", headers=headers, **more)


def fault_of(answer: httpx.Response) -> str:
    """What the console is told of a sign-in; empty where it succeeded."""
    assert answer.status_code == 303, answer.text
    address = urlsplit(answer.headers["location"])
    assert address.path == "/console"
    return address.fragment.removeprefix("sign-in=")


@asynccontextmanager
async def person(base: str) -> AsyncIterator[Person]:
    """A browser that is signed out, for the time of a block."""
    async with plain_client() as client:
        yield Person(base, client)


@asynccontextmanager
async def signed_in(base: str, provider: Provider, role: str) -> AsyncIterator[Person]:
    """A person of a role, for the time of a block."""
    provider.person, provider.fault = PEOPLE[role], ""
    async with person(base) as one:
        assert fault_of(await one.sign_in()) == ""
        yield one
