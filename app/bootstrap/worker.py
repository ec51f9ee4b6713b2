"""What one worker is given by its supervisor, and its settings made from all workers'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from app.state.address import Kind, parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from socket import socket

    from app.settings import Settings

STORE: Final = "store.sock"
LOCAL_STORE_TIMEOUT: Final = 1.0
"""Seconds that the store beside the workers may be silent. It is never cut off as one in a network
is, only late where the machine is: a dead one refuses at once."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One of `count` workers behind one port.

    `public` and `internal` are its listening sockets; `lifeline` is a descriptor that ends with the
    supervisor; `directory` is where the workers find each other, and their
    store if they have their `own_store`.
    """

    number: int
    count: int
    public: Sequence[socket]
    internal: Sequence[socket]
    lifeline: int
    directory: Path
    own_store: bool


def needs_store(settings: Settings) -> bool:
    """Whether the workers share a store of their own."""
    return parse(settings.state_url.get_secret_value()).kind is Kind.MEMORY


def store_timeout(worker: Worker | None) -> float | None:
    """How long the shared store may be silent, in seconds, where that is not as usual."""
    return LOCAL_STORE_TIMEOUT if worker is not None and worker.own_store else None


def settings_of(settings: Settings, worker: Worker) -> Settings:
    """Its settings: the common store, and its share of the sessions."""
    changed: dict[str, object] = {
        "max_sessions": share(settings.max_sessions, worker.count, worker.number)
    }
    if needs_store(settings):
        changed["state_url"] = SecretStr(f"unix://{worker.directory / STORE}")
    return settings.model_copy(update=changed)


def share(total: int, count: int, number: int) -> int:
    """One worker's part of a bound, at least 1; the parts add up."""
    return max(1, total // count + (number < total % count))
