"""Which role each guarded route needs. What is not listed is an admin's."""

from __future__ import annotations

import re
from typing import Final

from app.web.actor import Role

VIEWER, OPERATOR, ADMIN = Role
PARAMETER: Final = re.compile(r"{[^}]*}")

LEAST_ROLE: Final = {
    ("GET", "/v1/sessions"): VIEWER,
    ("GET", "/v1/sessions/{}"): VIEWER,
    ("GET", "/v1/sessions/{}/watch"): VIEWER,
    ("DELETE", "/v1/sessions/{}"): OPERATOR,
    ("POST", "/v1/sessions/{}/messages"): OPERATOR,
    ("POST", "/v1/sessions/{}/events"): OPERATOR,
    ("POST", "/v1/sessions/{}/takeover"): OPERATOR,
    ("PUT", "/v1/sessions/{}/takeover"): OPERATOR,
    ("DELETE", "/v1/sessions/{}/takeover"): OPERATOR,
    ("GET", "/v1/approvals"): OPERATOR,
    ("POST", "/v1/approvals/{}/{}"): OPERATOR,
    ("GET", "/v1/conversations"): VIEWER,
    ("DELETE", "/v1/conversations"): ADMIN,
    ("GET", "/v1/conversations/{}"): VIEWER,
    ("GET", "/v1/conversations/{}/transcript"): VIEWER,
    ("GET", "/v1/conversations/{}/events"): VIEWER,
    ("GET", "/v1/drift"): VIEWER,
    ("GET", "/v1/usage"): VIEWER,
    ("GET", "/v1/deliveries"): OPERATOR,
    ("POST", "/v1/deliveries/{}/redeliver"): ADMIN,
    ("GET", "/v1/audit"): ADMIN,
    ("POST", "/v1/tickets"): ADMIN,
    ("POST", "/v1/revocations"): ADMIN,
    ("POST", "/v1/calls"): ADMIN,
    ("POST", "/v1/calls/bulk"): ADMIN,
    ("GET", "/v1/calls/{}"): OPERATOR,
    ("DELETE", "/v1/calls/{}"): OPERATOR,
    ("POST", "/api/v1/web-integrations/{}/tokens"): ADMIN,
    ("DELETE", "/api/v1/web-integrations/{}/tokens/{}"): ADMIN,
}
"""Method and path, its parameters without names, to the least role."""


def least_role(method: str, path: str) -> Role:
    """The role that a route needs; HEAD is answered as GET."""
    return LEAST_ROLE.get(route_key(method, path), ADMIN)


def route_key(method: str, path: str) -> tuple[str, str]:
    """How `LEAST_ROLE` names a route."""
    return "GET" if method == "HEAD" else method, PARAMETER.sub("{}", path)
