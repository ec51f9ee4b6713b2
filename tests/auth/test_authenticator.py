from __future__ import annotations

import pytest

from app.auth.authenticator import Authenticator
from app.auth.connect_request import ConnectRequest, Credential, CredentialLocation, read_headers
from app.auth.open import Open
from app.auth.proxies import Peer
from app.auth.ticket import TicketAuth, TicketRequest, Tickets
from app.protocol.close_codes import FORBIDDEN, OVERLOADED, UNAUTHENTICATED, CloseReason
from app.protocol.errors import Refusal, StoreUnavailable
from app.protocol.principal import Principal
from tests.auth.asking import asking
from tests.auth.test_ticket import Store

JWT = "aaaa.bbbb.cccc"


class Fixed:
    """A method with one answer."""

    def __init__(self, answer: Principal | Exception, *, ambient: bool = False) -> None:
        self.answer = answer
        self.ambient = ambient

    def handles(self, credential: Credential | None) -> bool:
        return self.ambient or credential is not None

    async def authenticate(
        self, request: ConnectRequest, credential: Credential | None
    ) -> Principal:
        assert request.host
        assert self.ambient or credential is not None
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def refused(authenticator: Authenticator, request: ConnectRequest) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await authenticator.authenticate(request)
    return caught.value


@pytest.mark.parametrize(
    ("request_", "value", "place"),
    [
        (
            asking(sec_websocket_protocol="blackbox-relay.v1, bearer.a.b.c"),
            "a.b.c",
            CredentialLocation.SUBPROTOCOL,
        ),
        (asking("ticket=t1"), "t1", CredentialLocation.QUERY),
        (asking("token=t2"), "t2", CredentialLocation.QUERY),
        (asking("token=t2&ticket=t1"), "t1", CredentialLocation.QUERY),
        (asking("ticket=t1&ticket=t2"), "t1", CredentialLocation.QUERY),
        (asking("%74icket=t%2B1"), "t+1", CredentialLocation.QUERY),
        (asking(authorization="bearer  abc"), "abc", CredentialLocation.HEADER),
        (asking("ticket=q", authorization="Bearer h"), "q", CredentialLocation.QUERY),
        (
            asking("ticket=q", sec_websocket_protocol="bearer.s"),
            "s",
            CredentialLocation.SUBPROTOCOL,
        ),
    ],
)
def test_credentials_are_found_where_they_may_be(
    request_: ConnectRequest, value: str, place: CredentialLocation
) -> None:
    assert request_.credential is not None
    assert request_.credential.value.get_secret_value() == value
    assert request_.credential.place is place


@pytest.mark.parametrize(
    "request_",
    [
        asking(),
        asking("ticket="),
        asking(authorization="Basic abc"),
        asking(authorization="Bearer"),
        asking(sec_websocket_protocol="bearer.,blackbox-relay.v1"),
        asking("&".join(f"a{n}=1" for n in range(100)) + "&ticket=t"),
    ],
)
def test_no_credential_is_none(request_: ConnectRequest) -> None:
    assert request_.credential is None


def test_repeated_headers_are_joined_and_browsers_known() -> None:
    request = ConnectRequest.read(
        read_headers(
            [(b"Cookie", b"a=1"), (b"cookie", b"b=2"), (b"Origin", b"https://a"), (b"Host", b"h")]
        ),
        b"",
        path="/ws",
        agent=None,
        peer=Peer("192.0.2.1", "http", "behind.example.com"),
    )
    assert request.headers["cookie"] == "a=1; b=2"
    assert request.is_browser
    assert request.host == "behind.example.com"
    assert not asking().is_browser


def test_a_request_shows_no_credential() -> None:
    request = asking("ticket=canary", authorization="Bearer canary", cookie="canary")
    assert "canary" not in repr(request)
    assert "canary" not in repr(request.credential)


async def test_nobody_comes_in_without_a_credential() -> None:
    refusal = await refused(Authenticator([TicketAuth(Tickets(Store()))]), asking())
    assert refusal.reason is UNAUTHENTICATED
    assert refusal.message == "No credential was presented."


@pytest.mark.parametrize("field", ["ticket", "token", "%74oken"])
async def test_a_jwt_in_a_url_is_refused_even_if_it_is_good(field: str) -> None:
    good = Authenticator([Fixed(Principal("a", "jwt")), Open()])
    refusal = await refused(good, asking(f"{field}={JWT}"))
    assert refusal.reason is UNAUTHENTICATED
    assert "JWT may not travel in a URL" in refusal.message
    assert JWT not in refusal.message
    assert await good.authenticate(asking(authorization=f"Bearer {JWT}"))


async def test_a_credential_of_no_configured_kind_is_refused() -> None:
    only_tickets = Authenticator([TicketAuth(Tickets(Store()))])
    refusal = await refused(only_tickets, asking(authorization=f"Bearer {JWT}"))
    assert "kind of credential" in refusal.message


async def test_an_endless_credential_is_refused_unread() -> None:
    everybody = Authenticator([Fixed(Principal("a", "x"))])
    refusal = await refused(everybody, asking(authorization="Bearer " + "a" * 20_000))
    assert refusal.reason is UNAUTHENTICATED


async def test_a_bad_ticket_is_not_turned_into_an_open_session() -> None:
    tickets = Tickets(Store())
    both = Authenticator([TicketAuth(tickets), Open()])
    assert (await refused(both, asking("ticket=old"))).reason is UNAUTHENTICATED
    assert (await both.authenticate(asking())).method == "open"
    minted = await tickets.mint(TicketRequest("a"))
    query = f"token={minted.ticket.get_secret_value()}"
    assert (await both.authenticate(asking(query))).method == "ticket"


async def test_open_takes_the_token_of_a_client_made_for_the_vendor() -> None:
    assert (await Authenticator([Open()]).authenticate(asking("token=anything"))).method == "open"


async def test_an_ambient_method_that_knows_nobody_lets_the_next_try() -> None:
    unknown = Fixed(Refusal(UNAUTHENTICATED, "Who?"), ambient=True)
    ticket = Fixed(Principal("a", "ticket"))
    authenticator = Authenticator([unknown, ticket])
    assert (await authenticator.authenticate(asking("ticket=t"))).method == "ticket"
    assert (await refused(authenticator, asking())).message == "Who?"


@pytest.mark.parametrize("reason", [FORBIDDEN, OVERLOADED])
async def test_an_ambient_method_that_says_no_is_final(reason: CloseReason) -> None:
    no = Fixed(Refusal(reason), ambient=True)
    assert (await refused(Authenticator([no, Open()]), asking())).reason is reason


async def test_a_lost_store_fails_closed() -> None:
    lost = Authenticator([Fixed(StoreUnavailable("gone")), Open()])
    refusal = await refused(lost, asking("ticket=t"))
    assert refusal.reason is OVERLOADED
    assert refusal.retry_after is not None


async def test_a_credential_holds_for_its_agent_and_origin_alone() -> None:
    pinned = Authenticator([Fixed(Principal("a", "x", agent="one", origin="https://a"))])
    here = asking("ticket=t", agent="one", origin="https://a")
    assert await pinned.authenticate(here)
    assert await pinned.authenticate(asking("ticket=t", origin="https://a"))
    for request in (
        asking("ticket=t", agent="two", origin="https://a"),
        asking("ticket=t", agent="one", origin="https://b"),
        asking("ticket=t", agent="one"),
    ):
        assert (await refused(pinned, request)).reason is FORBIDDEN


async def test_anonymous_callers_are_told_apart_by_address_without_showing_it() -> None:
    everybody = Authenticator([Open()])
    one = await everybody.authenticate(asking(address="203.0.113.9"))
    again = await everybody.authenticate(asking(address="203.0.113.9"))
    other = await everybody.authenticate(asking(address="203.0.113.10"))
    assert one == again
    assert one.subject != other.subject
    assert one.subject.startswith("anonymous:")


@pytest.mark.parametrize("field", ["ticket", "token"])
async def test_two_dots_in_a_url_are_no_jwt_where_no_jwt_is_accepted(field: str) -> None:
    asked = asking(f"{field}={JWT}")
    assert (await Authenticator([Open()]).authenticate(asked)).method == "open"
    forward = Fixed(Principal("u", "forward"), ambient=True)
    assert (await Authenticator([forward]).authenticate(asked)).subject == "u"
    # A ticket has no dots, so this is none; and a JWT where JWTs are accepted stays refused.
    tickets = TicketAuth(Tickets(Store()))
    assert (await refused(Authenticator([tickets]), asked)).reason is UNAUTHENTICATED
    jwts = Authenticator([Fixed(Principal("u", "jwt")), Open()])
    assert "JWT may not travel in a URL" in (await refused(jwts, asked)).message
