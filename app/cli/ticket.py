"""`ticket`: mint a ticket at a running gateway."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import httpx

from app.cli.status import DOTENV, FAILED, FINE
from app.protocol.errors import ConfigurationError
from app.settings import load

if TYPE_CHECKING:
    import argparse


def ticket_command(arguments: argparse.Namespace) -> int:
    """Mint one, and print it. Raises ConfigurationError."""
    settings = load(dotenv=DOTENV)
    if not settings.service_tokens:
        raise ConfigurationError(["RELAY_SERVICE_TOKENS is missing: a ticket needs a bearer"])
    url = arguments.url or f"http://127.0.0.1:{settings.internal_port or settings.port}"
    wanted = {"subject": arguments.subject, "agent": arguments.agent, "ttl": arguments.ttl}
    if arguments.call_type:
        wanted["call_type"] = arguments.call_type
    bearer = settings.service_tokens[0].get_secret_value()
    try:
        with httpx.Client(trust_env=False, timeout=10) as client:
            answer = client.post(
                f"{url.rstrip('/')}/v1/tickets",
                json={name: value for name, value in wanted.items() if value is not None},
                headers={"authorization": f"Bearer {bearer}"},
            )
    except httpx.HTTPError as error:
        print(f"error: no gateway answers at {url} ({type(error).__name__})", file=sys.stderr)
        return FAILED
    if answer.status_code != 201:  # noqa: PLR2004 - Created
        print(f"error: the gateway answered {answer.status_code}: {answer.text}", file=sys.stderr)
        return FAILED
    print(json.dumps(answer.json(), indent=2))
    return FINE
