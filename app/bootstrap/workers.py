"""Several workers behind one port, from one configuration: what `RELAY_WORKERS` asks for."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from app.bootstrap.application import build
from app.bootstrap.listeners import addresses, listeners
from app.bootstrap.reload import reloaded, stamps, tell_refusal
from app.bootstrap.supervisor import FINE, MISCONFIGURED, Roles, Supervisor
from app.bootstrap.worker import STORE, Worker, needs_store
from app.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket

    from app.bootstrap.listeners import Place
    from app.bootstrap.reload import Source
    from app.settings import Settings


class Port:
    """One port's sockets, a worker's apart from every other's."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._open: dict[int, list[socket]] = {}

    def open(self, number: int) -> None:
        """Listen for a worker, unless that is done. Raises OSError."""
        if number not in self._open:
            self._open[number] = listeners(self._places)

    def close(self, number: int) -> None:
        """Listen for it no more."""
        for each in self._open.pop(number, ()):
            each.close()

    def keep(self, number: int) -> list[socket]:
        """Let go of all but one worker's, in that worker's process; return that one's."""
        for other in self._open.keys() - {number}:
            self.close(other)
        return self._open.get(number, [])


def serve_workers(
    settings: Settings,
    source: Source,
    serve: Callable[[Settings, Worker], int],
) -> int:
    """Run the workers until a signal ends them; return the exit status.

    `source` is where the configuration is read anew; `serve` is one worker's whole life by the
    settings of all workers, and gives its exit status. Raises ConfigurationError.
    """
    ports = [
        Port(addresses(settings.host, settings.port, "RELAY_PORT")),
        Port(
            ()
            if settings.internal_port is None
            else addresses(settings.host, settings.internal_port, "RELAY_INTERNAL_PORT")
        ),
    ]
    directory = _directory()
    roles = WorkerRoles(settings, source, serve, ports, directory)
    try:
        return Supervisor(settings.workers, roles, directory, directory / STORE).run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class WorkerRoles(Roles):
    """What the supervisor's processes do; see `serve_workers`."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        serve: Callable[[Settings, Worker], int],
        ports: Sequence[Port],
        directory: Path,
    ) -> None:
        self.has_store = needs_store(settings)
        self._settings = settings
        self._source = source
        self._serve = serve
        self._ports = ports
        self._directory = directory
        self._lifeline, self._held = os.pipe()

    def work(self, number: int) -> int:
        """Be a worker."""
        public, internal = self._leave_others(number)
        count = self._settings.workers
        worker = Worker(
            number, count, public, internal, self._lifeline, self._directory, self.has_store
        )
        return self._serve(self._settings, worker)

    def check(self) -> int:
        """Say what is wrong with the configuration as it is now."""
        self._leave_others(None)
        try:
            build(self._source.read())
        except ConfigurationError as error:
            tell_refusal(self._source, error)
            return MISCONFIGURED
        return FINE

    def accept(self) -> None:
        """Start workers with the agents and tenants that the others reload now."""
        with suppress(ConfigurationError):  # changed again since: that is checked next
            self._settings = reloaded(self._settings, self._source.read())

    def store(self) -> int:
        """Be the store."""
        from app.state.local_store.process import run  # noqa: PLC0415 - Lua, in that process alone

        self._leave_others(None)
        run(self._directory / STORE, self._lifeline)
        return FINE

    def stamp(self) -> object:
        """What changes with the files of agents and tenants."""
        return stamps(self._source.files)

    def open(self, number: int) -> None:
        """Listen for a worker, unless that is done. Raises OSError."""
        for port in self._ports:
            port.open(number)

    def close(self, number: int) -> None:
        """Listen for it no more."""
        for port in self._ports:
            port.close(number)

    def _leave_others(self, number: int | None) -> list[list[socket]]:
        """Hold nothing of other processes: they would never hear that the supervisor is gone."""
        os.close(self._held)
        return [port.keep(-1 if number is None else number) for port in self._ports]


def _directory() -> Path:
    """A directory that is this user's alone. Raises ConfigurationError."""
    try:
        return Path(tempfile.mkdtemp(prefix="blackbox-relay-"))
    except OSError as error:
        raise ConfigurationError(
            [f"RELAY_WORKERS needs a directory for its sockets ({error.strerror}): set TMPDIR"]
        ) from None
