"""Who asks to enter, and how many must be let in: caps that are exactly full at the end.

Each group of sessions is bounded by one cap, and has room under the other, so that the number that
is let in does not depend on the order. More ask than there are places, from all replicas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.state.interface import Caps, SessionRow

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPS: Final = Caps(per_subject=10, per_address=50)
SURPLUS: Final = 1.05
"""How many ask, per place."""

TENANTS: Final = 50
AGENTS: Final = 20
RARE: Final = 1_000
"""One session of so many is of the agent `rare`."""

CONNECTING: Final = 25
"""One session of so many is still connecting; the others are in their conversation."""


@dataclass(frozen=True, slots=True)
class Ask:
    """An attempt to enter, by number."""

    number: int
    subject: str
    address: str
    agent: str
    tenant: str | None
    phase: str = "active"

    def row(self, session_id: str, replica: str) -> SessionRow:
        return SessionRow(
            id=session_id,
            replica=replica,
            agent=self.agent,
            call_type="chat",
            subject=self.subject,
            address=self.address,
            started_at=1_700_000_000.0 + self.number / 100,
            phase=self.phase,
            tenant=self.tenant,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """`size` places: four of five are those of subjects, one of five those of addresses."""

    size: int

    @property
    def subjects(self) -> int:
        return self.size * 4 // 5 // CAPS.per_subject

    @property
    def addresses(self) -> int:
        return self.size // 5 // CAPS.per_address

    @property
    def places(self) -> int:
        """How many are let in."""
        return self.subjects * CAPS.per_subject + self.addresses * CAPS.per_address

    def asks(self) -> int:
        """How many ask."""
        return round(self.places * SURPLUS)

    def ask(self, number: int) -> Ask:
        """The attempt with this number; numbers that follow each other are of many caps."""
        of_subjects = self.subjects * CAPS.per_subject * self.asks() // self.places
        if number < of_subjects:
            person = number % self.subjects
            subject, address = f"subject{person}", f"10.{number // 40}"
        else:
            place = number - of_subjects
            person = place // 5
            subject, address = f"single{person}", f"nat{place % self.addresses}"
        return Ask(
            number,
            subject,
            address,
            "rare" if number % RARE == 7 else f"agent{number % AGENTS}",
            # A cap of a subject is one of the subject within its tenant.
            f"tenant{person % TENANTS}" if person % 2 else None,
            "connecting" if number % CONNECTING == 3 else "active",
        )

    def share(self, worker: int, workers: int) -> Iterator[Ask]:
        """What one of several processes asks; both groups from the beginning."""
        total = self.asks()
        step = 7_919  # a prime that divides no number of attempts here
        while total % step == 0:
            step += 2
        for at in range(worker, total, workers):
            yield self.ask(at * step % total)


def not_full(cap: int, counts: dict[str, int], prefix: str, number: int) -> list[str]:
    """The caps of a group that are not exactly full."""
    names = (f"{prefix}{at}" for at in range(number))
    return [f"{name}: {counts.get(name, 0)} of {cap}" for name in names if counts.get(name) != cap]
