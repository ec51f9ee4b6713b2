"""From a credential to a Principal, or a refusal."""

from app.auth.authenticator import Authenticator, Method
from app.auth.claims import Unreadable
from app.auth.connecting import Connecting, Credential
from app.auth.forward import Forward
from app.auth.jwks import Jwks
from app.auth.jwt import Jwt, JwtKeys
from app.auth.open import Open
from app.auth.origin import AllowedOrigins
from app.auth.proxies import Peer, TrustedProxies, bucket
from app.auth.ticket import Ticket, TicketAuth, TicketRequest, Tickets, TicketStore

__all__ = [
    "AllowedOrigins",
    "Authenticator",
    "Connecting",
    "Credential",
    "Forward",
    "Jwks",
    "Jwt",
    "JwtKeys",
    "Method",
    "Open",
    "Peer",
    "Ticket",
    "TicketAuth",
    "TicketRequest",
    "TicketStore",
    "Tickets",
    "TrustedProxies",
    "Unreadable",
    "bucket",
]
