"""Which page a browser may resume, and which chat one more page may join."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.relay.page import Page, PageRequest
    from app.relay.relay import Relay


def page_by_proof(relay: Relay, proof: str) -> Relay | Page | None:
    """The page that resumes by the token with this SHA-256; the first one is the relay's own.

    `proof` is in hexadecimal. None where that token is no page's of this conversation, or nothing
    is held for its page any more.
    """
    pages, token = relay.pages, relay.conversation.resume_token
    if token is not None and (pages is None or not pages.first_is_gone):
        expected = hashlib.sha256(token.encode()).hexdigest()
        if hmac.compare_digest(expected, proof):
            return relay
    return None if pages is None else pages.by_proof(proof)


def may_join(relay: Relay, request: PageRequest) -> bool:
    """Tell whether a page may join this chat: it is kept, and the page's subject is its own."""
    who, profile = relay.conversation.principal, relay.conversation.profile
    same = who.subject == request.subject and who.tenant == request.tenant
    may = same and request.agent in {None, profile.name, profile.requested_agent}
    return may and relay.pages is not None and not relay.is_ending
