"""Forged tokens are refused, each of them; a ticket that many ask for at once is given to one."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import SecretStr

from app.auth.connect_request import Credential, CredentialLocation
from app.auth.jwt import Jwt, JwtKeys
from app.auth.ticket import TicketRequest, Tickets
from app.protocol.errors import Refusal
from app.state.redis import RedisState, Timings
from tests.auth.asking import asking
from tests.proof.forgery import SECRET, Forger, signers
from tests.proof.parallel import spread
from tests.proof.report import Bound, Proof, Result
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

RACERS: Final = 6
TICKETS_AT_A_TIME: Final = 64
CONTROL_EVERY: Final = 500  # forgeries between two valid tokens
TICKETS_SHARE: Final = 10  # forgeries to one ticket
FORGING: Final = 0.45  # of the seconds; the rest is for tickets


def methods() -> list[tuple[Jwt, Forger]]:
    """The `jwt` method by each kind of key and by two at once, with a forger for each."""
    known = signers()
    random = Random()  # noqa: S311 - replaced by the seed's in `tokens`
    found = []
    for signer in known:
        public = signer.public or None
        secret = SecretStr(SECRET) if public is None else None
        found.append((JwtKeys(secret=secret, public_key=public), signer))
    found += [
        (JwtKeys(secret=SecretStr(SECRET), public_key=signer.public), signer)
        for signer in known
        if signer.public
    ]
    return [(Jwt(keys), Forger(random, signer, known)) for keys, signer in found]


@contextmanager
def quiet() -> Iterator[None]:
    """Millions of refusals are not logged."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


async def tokens(bound: Bound, result: Result, tried: list[tuple[Jwt, Any]]) -> None:
    """Try forged tokens, and now and then a good one, which must be let in."""
    random = Random(bound.seed)  # noqa: S311 - to be had again
    kinds: Counter[str] = Counter()
    controls = 0
    request = asking()
    for _, forger in tried:
        forger._random = random
    for number in range(bound.count):
        if number % 100 == 0 and bound.over():
            break
        method, forger = tried[number % len(tried)]
        token, kind = forger.forge()
        kinds[kind] += 1
        try:
            await method.authenticate(request, _credential(token))
        except Refusal:
            pass
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            result.lose(f"{kind}: {type(error).__name__} instead of a refusal: {token[:300]!r}")
        else:
            result.lose(f"{kind}: let in: {token[:600]!r}")
        if number % CONTROL_EVERY == 0:
            controls += 1
            try:
                await method.authenticate(request, _credential(random.choice(forger.valid)))
            except Exception as error:  # noqa: BLE001 - whatever it is, it was not let in
                result.lose(f"a valid token was refused: {error!r}")
    result.add("forged tokens tried", kinds.total())
    result.add("valid tokens let in between", controls)
    for kind, count in sorted(kinds.items()):
        result.add(f"of them {kind.replace('_', ' ')}", count)


def _credential(token: str) -> Credential:
    return Credential(SecretStr(token), CredentialLocation.HEADER)


async def tickets(bound: Bound, result: Result) -> None:
    """Let several claimants on two replicas ask for each ticket at once."""
    with tempfile.TemporaryDirectory() as directory, RedisServer(Path(directory) / "r") as redis:
        patient = Timings(timeout=30.0)
        states = [RedisState(redis.url, f"replica-{n}", timings=patient) for n in range(2)]
        running = [asyncio.create_task(state.run()) for state in states]
        try:
            await races([Tickets(state) for state in states], bound, result)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            for state in states:
                await state.close()


async def races(counters: list[Tickets], bound: Bound, result: Result) -> None:
    """Race for `bound.count` tickets, some at a time."""
    random = Random(bound.seed)  # noqa: S311 - to be had again
    raced = 0
    while raced < bound.count and not bound.over():
        batch = min(TICKETS_AT_A_TIME, bound.count - raced)
        won = await asyncio.gather(*(_race(counters, random) for _ in range(batch)))
        raced += batch
        for winners in won:
            result.require(winners == 1, f"a ticket was given to {winners} of {RACERS}")
    result.add("tickets raced for", raced)
    result.add("claims", raced * RACERS)


async def _race(counters: list[Tickets], random: Random) -> int:
    minted = await random.choice(counters).mint(TicketRequest("racer"))
    claims = [
        counters[number % len(counters)].redeem(minted.ticket, None, f"claimant-{number}")
        for number in range(RACERS)
    ]
    random.shuffle(claims)
    outcomes = await asyncio.gather(*claims, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Refusal):
            raise outcome
    return sum(not isinstance(outcome, Refusal) for outcome in outcomes)


def _race_for_tickets(bound: Bound, result: Result) -> None:
    with quiet():
        asyncio.run(tickets(bound, result))


def run(bound: Bound) -> Result:
    """Forge, then race, each in every processor's process."""
    result = Result(
        least=("forged tokens tried", "valid tokens let in between", "tickets raced for")
    )
    tried = methods()

    def forge(bound: Bound, result: Result) -> None:
        with quiet():
            asyncio.run(tokens(bound, result, tried))

    spread(forge, bound.part(bound.count, FORGING * bound.left), result)
    some = max(1, bound.count // TICKETS_SHARE)
    spread(_race_for_tickets, bound.part(some, bound.left), result)
    return result


PROOF: Final = Proof(
    "credentials",
    "no forged JWT is let in (RFC 8725), and a ticket that several ask for at once is given to one",
    count=1_000_000,
    seconds=240,
    unit="forged tokens",
    run=run,
)
