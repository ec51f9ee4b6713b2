"""Which method judges a request, and what holds for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from app.auth.connect_request import MAX_CREDENTIAL, CredentialLocation
from app.protocol.close_codes import FORBIDDEN, OVERLOADED, UNAUTHENTICATED
from app.protocol.errors import Refusal, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.auth.connect_request import ConnectRequest, Credential
    from app.protocol.principal import Principal

RETRY_AFTER: Final = 2.0
JWT_IN_URL: Final = (
    "A JWT may not travel in a URL, where logs keep it; send it as the subprotocol bearer.<token>."
)


class AuthMethod(Protocol):
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

    async def authenticate(
        self, request: ConnectRequest, credential: Credential | None
    ) -> Principal:
        """Return who it is; raises Refusal, or StoreUnavailable when the shared store is gone."""
        ...


class Authenticator:
    """Tries the configured methods in their order.

    The first that handles the kind of credential presented decides. An ambient method that knows
    no principal (4401) lets the next one try, so that `forward,ticket` serves both kinds of user. A
    ticket or JWT that is refused never falls through: an expired one is not turned into `open`.
    `release` lets a handshake's credential be used again, if it is one that can be used up.
    """

    def __init__(
        self,
        methods: Sequence[AuthMethod],
        release: Callable[[Principal, str], None] = lambda *_: None,
    ) -> None:
        self._methods = tuple(methods)
        self._release = release

    def release(self, principal: Principal, request: ConnectRequest) -> None:
        """Let the credential be used again: its handshake came to nothing, and may come again."""
        self._release(principal, request.id)

    async def authenticate(self, request: ConnectRequest) -> Principal:
        """Return the verified principal of a request; raises Refusal."""
        credential = request.credential
        self._refuse_unfit(credential)
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
            except StoreUnavailable:
                raise Refusal(OVERLOADED, retry_after=RETRY_AFTER) from None
            except Refusal as refused:
                if not method.ambient or refused.reason is not UNAUTHENTICATED:
                    raise
                refusal = refused
            else:
                return _fitting(principal, request)
        raise refusal

    def _refuse_unfit(self, credential: Credential | None) -> None:
        """Refuse a JWT in a URL where JWTs are accepted; elsewhere two dots mean nothing."""
        if credential is None:
            return
        in_url = credential.place is CredentialLocation.QUERY and credential.is_jwt
        if in_url and any(m.handles(credential) for m in self._methods if not m.ambient):
            raise Refusal(UNAUTHENTICATED, JWT_IN_URL)
        if len(credential.value.get_secret_value()) > MAX_CREDENTIAL:
            raise Refusal(UNAUTHENTICATED)


def _fitting(principal: Principal, request: ConnectRequest) -> Principal:
    """Hold the request to what the credential pins."""
    if principal.agent is not None and request.agent not in (None, principal.agent):
        raise Refusal(FORBIDDEN, "This credential is for another agent.")
    if principal.origin is not None and request.origin != principal.origin:
        raise Refusal(FORBIDDEN, "This credential is for another origin.")
    return principal
