"""Which primary the Sentinels name, and what is wrong when they name none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.exceptions import AuthenticationError, RedisError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

AGREEMENT: Final = 0.05
"""Seconds that other Sentinels have to tell of a newer primary, once one has answered."""

State = Mapping[str, Any]


class NoSuchService(MasterNotFoundError):  # noqa: N818
    """Sentinels answer, and none knows the service."""


class NoLivingPrimary(MasterNotFoundError):  # noqa: N818
    """Sentinels know the service, and call its primary down."""


class NoSentinel(MasterNotFoundError):  # noqa: N818
    """None answers as a Sentinel; the cause is what one of them said."""


class Sentinels(Sentinel):
    """redis-py's client of Sentinels, but all are asked at once.

    One that does not answer costs no time, and one that was cut off from the others, and has
    missed a failover, is overruled by a newer configuration (Redis Sentinel documentation,
    "Configuration epochs").

    `newest` is the configuration epoch and the address that were found last.
    """

    newest: tuple[int, tuple[str, int]] = (-1, ("", 0))

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return where the primary is. Raises a `MasterNotFoundError` that says why not."""
        asking = {asyncio.create_task(_ask(each), name="state:sentinel") for each in self.sentinels}
        try:
            waiting, found = asking, None
            while waiting and found is None:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                found = self._newest(done, service_name)
            if waiting:
                await asyncio.wait(waiting, timeout=AGREEMENT)
            told = [task.result() for task in asking if task.done()]
            found = self._newest((task for task in asking if task.done()), service_name)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        if found is None:
            _fail(told, service_name)
        return found

    def _newest(
        self, told: Iterable[asyncio.Task[Mapping[str, State] | Exception]], service: str
    ) -> tuple[str, int] | None:
        answers = [task.result() for task in told]
        states = [
            each[service] for each in answers if isinstance(each, Mapping) and service in each
        ]
        usable = [state for state in states if self.check_master_state(dict(state), service)]
        newest = max(usable, key=lambda state: int(state["config-epoch"]), default=None)
        if newest is None:
            return None
        found = str(newest["ip"]), int(newest["port"])
        self.newest = int(newest["config-epoch"]), found
        return found


async def _ask(sentinel: Any) -> Mapping[str, State] | Exception:
    try:
        services: Mapping[str, State] = await sentinel.sentinel_masters()
    except (RedisError, OSError) as error:
        return error
    return services


def _fail(told: Sequence[Mapping[str, State] | Exception], service: str) -> NoReturn:
    answers = [each for each in told if not isinstance(each, Exception)]
    if any(service in each for each in answers):
        raise NoLivingPrimary("the primary is down")
    if answers:
        raise NoSuchService("no Sentinel knows the service")
    errors = [each for each in told if isinstance(each, Exception)]
    # An answer that refuses says more than a silence.
    answered = [each for each in errors if isinstance(each, ResponseError | AuthenticationError)]
    raise NoSentinel("no Sentinel answers") from next(iter([*answered, *errors]), None)
