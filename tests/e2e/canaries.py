"""Secrets as no operator has them: everything that some writing escapes is in them."""

from __future__ import annotations

from tests.support.outside import COOKIE, WEBHOOK_SECRET

# With what URLs, JSON, header values and representations escape; blanks and what is not ASCII are
# refused at start.
SECRETS = {
    "API key": "canary1+/=%41&?#\"\\'<key>",
    "service token": "canary2+/=%41&\"'<token>",
    "JWT secret": "canary3+/=%41\"'<secret of more than sixty-four bytes, for every hash there is>",
    "web integration token": "canary4+/=%41&\"\\'<token>",
    "result secret": WEBHOOK_SECRET,
    "event secret": "whsec_Y2FuYXJ5LWV2ZW50LXNlY3JldA==",
    "tool's header": "canary5+/=%41\"'<header>",
    "cookie": COOKIE,
}
