"""Secrets in every dress are pushed through what writes logs and errors, and none comes out.

The dresses are those that libraries and peers write: as it is, percent-encoded in whole or in part,
in JSON, in a representation, behind the names of credentials. Then a gateway whose every secret is
a canary is used well and badly, and its sinks are read (tests/e2e/test_canary.py and others).
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

from app.telemetry.logs import Redactor
from tests.e2e.canaries import SECRETS
from tests.proof import tested
from tests.proof.report import Bound, Proof, Result
from tests.support.canary import revealed

if TYPE_CHECKING:
    from collections.abc import Callable

SINKS: Final = (
    "tests/e2e/test_canary.py",
    "tests/e2e/test_representations.py",
    "tests/e2e/test_upstream_faults.py::test_key_in_the_vendors_words_is_not_shown",
    "tests/telemetry/test_traces.py::test_session_is_one_trace_with_its_parts_and_without_contents",
    "tests/auth/test_ticket.py::test_the_store_sees_no_ticket",
    "tests/deploy/test_systemd.py::test_secrets_come_as_credentials_and_not_as_variables",
)
AROUND: Final = (
    *(
        "",
        " ",
        "GET /api/v1/ws/dev?authorization=",
        "ticket=",
        "&token=",
        "?a=b&key=",
        "x-secret: ",
    ),
    *(
        "Bearer ",
        "bearer%20",
        "https://user:",
        "wss://host/?",
        '{"said":"',
        "b'",
        "error: ",
        "\x1b[31m",
    ),
    *("%3Fauthorization%3D", "connect to ", "\u2028", "é", "0" * 300),
)


def escaped(secret: str, dice: random.Random) -> str:
    """A secret with some of its characters percent-encoded, once or twice, in either case."""
    made = []
    for character in secret:
        code = f"{ord(character):02x}"
        code = code.upper() if dice.random() < 0.5 else code
        if dice.random() < 0.5 or character in "%\\\"'":
            made.append(f"%25{code}" if dice.random() < 0.1 else f"%{code}")
        else:
            made.append(character)
    return "".join(made)


DRESSES: Final[tuple[Callable[[str, random.Random], str], ...]] = (
    lambda secret, _: secret,
    lambda secret, _: secret,
    lambda secret, _: quote(secret, safe=""),
    lambda secret, _: quote(secret),
    lambda secret, _: quote_plus(secret),
    lambda secret, _: json.dumps(secret),
    lambda secret, _: json.dumps({"said": secret, "é": 1}),
    lambda secret, _: repr(secret),
    lambda secret, _: repr(secret.encode()),
    escaped,
)
EXPOSED: Final = {name: secret for name, secret in SECRETS.items() if name != "cookie"}
LOOKED_FOR: Final = tuple(EXPOSED.values())


SINKS_SECONDS: Final = 30.0
"""That must be left for the tests of sinks, or they are not run."""


def redaction(bound: Bound, result: Result, redactor: Callable[[str], str] | None = None) -> None:
    """Redact texts with secrets in them; look for each secret in what is left.

    The quick look is for the secret as it is and as it was dressed; every hundredth text is looked
    at in all the forms that the checker of the other tests knows.
    """
    dice = random.Random(bound.seed)  # noqa: S311 - to be had again
    redact = Redactor(LOOKED_FOR) if redactor is None else redactor
    names = tuple(EXPOSED)
    number = 0
    while number < bound.count:
        if number % 1000 == 0 and bound.over():
            break
        name = dice.choice(names)
        dressed = dice.choice(DRESSES)(EXPOSED[name], dice)
        parts = [dice.choice(AROUND), dressed, dice.choice(AROUND)]
        if dice.random() < 0.2:
            parts.append(dice.choice(DRESSES)(EXPOSED[dice.choice(names)], dice))
        text = "".join(parts)
        left = redact(text)
        shown = EXPOSED[name] in left or dressed in left
        if not shown and number % 100 == 0:
            result.add("texts looked at in every form")
            shown = bool(revealed(left, EXPOSED))
        if shown:
            result.lose(f"{name}: of {text!r} is left {left!r}"[:600])
        number += 1
    result.add("texts redacted", number)


def run(bound: Bound) -> Result:
    """Redact, then read all sinks."""
    result = Result(least=("texts redacted", "texts looked at in every form"))
    redaction(bound.part(bound.count, bound.seconds * 0.6), result)
    if bound.count >= len(SINKS) * 1000:
        if bound.left < SINKS_SECONDS:
            result.notes.append(f"not run, for want of time: {' '.join(SINKS)}")
        else:
            tested.run(SINKS, bound.left, result, bound)
    return result


PROOF: Final = Proof(
    "secrets",
    "no secret is in a log, trace, metric, error, close reason, URL, webhook, store or process "
    "list",
    count=1_000_000,
    seconds=600,
    unit="texts",
    run=run,
)
