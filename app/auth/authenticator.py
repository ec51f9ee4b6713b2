"""Which method judges a request, and what holds for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from app.auth.connecting import MAX_CREDENTIAL, Place
from app.errors import Refusal, StateLost
from app.protocol.closing import FORBIDDEN, OVERLOADED, UNAUTHENTICATED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.auth.connecting import Connecting, Credential
    from app.protocol.principal import Principal

RETRY_AFTER: Final = 2.0


class Method(Protocol):
    """One way to authenticate.

    `ambient` is true for one that judges what a browser sends by itself, such as cookies.
    """

    @property
    def ambient(self) -> bool:
        """Whether it needs no credential of the gateway's own kind."""
        ...

    def handles(self, credential: Credential | None) -> bool:
        """Tell whether such a credential is for this method."""
        ...

    async def authenticate(self, request: Connecting, credential: Credential | None) -> Principal:
        """Return who it is; raises Refusal, or StateLost when the shared store is gone."""
        ...


class Authenticator:
    """Tries the configured methods in their order.

    The first that handles the kind of credential presented decides. An ambient method that knows
    nobody (4401) lets the next one try, so that `forward,ticket` serves both kinds of user. A
    ticket or JWT that is refused never falls through: an expired one is not turned into `open`.
    `give_back` lets a handshake's credential be used again, if it is one that can be used up.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        give_back: Callable[[Principal, str], None] = lambda *_: None,
    ) -> None:
        self._methods = tuple(methods)
        self._give_back = give_back

    def give_back(self, principal: Principal, request: Connecting) -> None:
        """Let the credential be used again: its handshake came to nothing, and may come again."""
        self._give_back(principal, request.id)

    async def authenticate(self, request: Connecting) -> Principal:
        """Return the verified principal of a request; raises Refusal."""
        credential = request.credential
        _refuse_unfit(credential)
        refusal = Refusal(
            UNAUTHENTICATED,
            "No credential was presented."
            if credential is None
            else "This kind of credential is not accepted here.",
        )
        for method in self._methods:
            if not method.handles(credential):
                continue
            try:
                principal = await method.authenticate(request, credential)
            except StateLost:
                raise Refusal(OVERLOADED, retry_after=RETRY_AFTER) from None
            except Refusal as refused:
                if not method.ambient or refused.reason is not UNAUTHENTICATED:
                    raise
                refusal = refused
            else:
                return _fitting(principal, request)
        raise refusal


def _refuse_unfit(credential: Credential | None) -> None:
    if credential is None:
        return
    if credential.place is Place.QUERY and credential.is_jwt:
        raise Refusal(
            UNAUTHENTICATED,
            "A JWT may not travel in a URL, where logs keep it; "
            "send it as the subprotocol bearer.<token>.",
        )
    if len(credential.value.get_secret_value()) > MAX_CREDENTIAL:
        raise Refusal(UNAUTHENTICATED)


def _fitting(principal: Principal, request: Connecting) -> Principal:
    """Hold the request to what the credential pins."""
    if principal.agent is not None and request.agent not in (None, principal.agent):
        raise Refusal(FORBIDDEN, "This credential is for another agent.")
    if principal.origin is not None and request.origin != principal.origin:
        raise Refusal(FORBIDDEN, "This credential is for another origin.")
    return principal
