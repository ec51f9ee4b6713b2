"""Keeps the workers behind one port running: starts, restarts, drains and ends them.

It forks before any thread or event loop exists in it, and waits for signals alone. Its store, where
the workers need one, is a process beside them, so that no fault of one ends another.
"""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import structlog

from app.bootstrap.restarts import Restarts
from app.bootstrap.worker_metrics import fold, socket_of, write_supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import FrameType

log = structlog.get_logger(__name__)

FINE, FAILED, MISCONFIGURED = 0, 1, 2
POLL: Final = 1.0
STARTING_POLL: Final = 0.05
STORE_STARTS_WITHIN: Final = 20.0
STORE_ENDS_WITHIN: Final = 5.0
HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Roles(Protocol):
    """What the processes do. Those that return a number return their exit status."""

    has_store: bool
    """Whether the workers need a store of their own."""

    def work(self, number: int) -> int:
        """Be a worker."""
        ...

    def check(self) -> int:
        """Read the configuration anew, and say what is wrong with it."""
        ...

    def accept(self) -> None:
        """Start workers by the configuration that was checked, from now on."""
        ...

    def store(self) -> int:
        """Be the store."""
        ...

    def stamp(self) -> object:
        """What changes with the files that agents and tenants are read from."""
        ...

    def open(self, number: int) -> None:
        """Have a worker's sockets ready. Raises OSError."""
        ...

    def close(self, number: int) -> None:
        """No process will accept from a worker's sockets for some time."""
        ...


@dataclass(slots=True)
class _Seat:
    """One process that is to run always; `pid` is 0 while it does not."""

    name: str
    number: int | None
    pid: int = 0
    restarts: Restarts = field(default_factory=Restarts)


class Supervisor:
    """Runs `count` workers. `directory` is where they and their store have their sockets."""

    def __init__(self, count: int, roles: Roles, directory: Path, store: Path) -> None:
        self._roles = roles
        self._directory = directory
        self._store_path = store
        self._workers = [_Seat(f"worker {number}", number) for number in range(count)]
        self._store = _Seat("store", None)
        self._checker = 0
        self._begun = False
        self._asked = False
        self._stamp = roles.stamp()
        self._signals = 0
        self._statuses: list[int] = []
        self._restarted = 0
        self._refused = 0
        self._wakeup = os.pipe()

    def run(self) -> int:
        """Run until a signal ends all workers; return the exit status."""
        self._listen_to_signals()
        if self._roles.has_store and not self._start_store():
            return FAILED
        status = self._start_first()
        if status is None:
            self._begun = True
            for seat in self._workers[1:]:
                self._start(seat)
            log.info("workers_started", workers=len(self._workers))
            self._supervise()
            status = FINE if not any(self._statuses) else FAILED
        self._end_store()
        return status

    def _supervise(self) -> None:
        while not self._signals or any(seat.pid for seat in self._workers):
            self._wait(POLL)
            self._restart_store()
            if not self._signals:
                self._look_at_files()
                self._restart_workers()

    def _start_first(self) -> int | None:
        """Start one worker alone, so that a fault is told once; its status if it does not serve."""
        first = self._workers[0]
        self._start(first)
        pid = first.pid
        while first.pid == pid and not socket_of(self._directory, pid).exists():
            self._wait(STARTING_POLL)
        if first.pid == pid:
            return None
        return self._statuses[-1] if self._statuses else FAILED

    def _wait(self, timeout: float) -> None:
        """Wait for a signal, and do what it asks for."""
        readable, _, _ = select.select([self._wakeup[0]], [], [], timeout)
        if readable:
            for number in os.read(self._wakeup[0], 4096):
                if number in {signal.SIGTERM, signal.SIGINT}:
                    self._drain()
                elif number == signal.SIGHUP:
                    self._asked = True
        self._reap()
        if self._asked and not self._checker and not self._signals:
            self._asked = False
            self._stamp = self._roles.stamp()
            self._checker = self._fork(self._roles.check)

    def _drain(self) -> None:
        """Let all workers drain; what comes a second time shortens it."""
        self._signals += 1
        log.info("workers_draining" if self._signals == 1 else "workers_hurried")
        self._signal_workers(signal.SIGTERM)

    def _signal_workers(self, number: signal.Signals) -> None:
        for seat in self._workers:
            if seat.pid:
                os.kill(seat.pid, number)

    def _look_at_files(self) -> None:
        if (stamp := self._roles.stamp()) != self._stamp:
            self._stamp = stamp
            self._asked = True

    def _reap(self) -> None:
        while True:
            try:
                pid, waited = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            status = os.waitstatus_to_exitcode(waited)
            if pid == self._checker:
                self._checked(status)
            elif pid == self._store.pid:
                self._store_ended(status)
            else:
                self._worker_ended(pid, status)

    def _checked(self, status: int) -> None:
        """Let all workers reload, or none."""
        self._checker = 0
        if status == FINE:
            self._roles.accept()
            self._signal_workers(signal.SIGHUP)
            return
        self._refused += 1
        write_supervisor(self._directory, self._restarted, self._refused)

    def _worker_ended(self, pid: int, status: int) -> None:
        seat = next((seat for seat in self._workers if seat.pid == pid), None)
        if seat is None:
            return  # a process that was not started here, left to the first one of a container
        seat.pid = 0
        fold(self._directory, pid)
        if self._signals or not self._begun:
            self._statuses.append(status)
            log.info("worker_ended", worker=seat.number, status=status)
            return
        again = seat.restarts.ended(time.monotonic())
        log.error("worker_died", worker=seat.number, status=status, restarted_in=again)
        if again > Restarts.FIRST and seat.number is not None:
            self._roles.close(seat.number)  # the others take what would wait here

    def _store_ended(self, status: int) -> None:
        self._store.pid = 0
        again = self._store.restarts.ended(time.monotonic())
        if not self._signals or any(seat.pid for seat in self._workers):
            log.error("store_died", status=status, restarted_in=again)

    def _restart_store(self) -> None:
        now = time.monotonic()
        if self._roles.has_store and not self._store.pid and self._store.restarts.due(now):
            self._store.pid = self._fork(self._roles.store)
            self._store.restarts.started(now)

    def _restart_workers(self) -> None:
        now = time.monotonic()
        for seat in self._workers:
            if not seat.pid and seat.restarts.due(now):
                self._restarted += 1
                write_supervisor(self._directory, self._restarted, self._refused)
                self._start(seat)

    def _start(self, seat: _Seat) -> None:
        number = seat.number or 0
        try:
            self._roles.open(number)
        except OSError as error:
            again = seat.restarts.ended(time.monotonic())
            log.exception("worker_not_started", worker=number, error=error.strerror, again_in=again)
            return
        seat.pid = self._fork(lambda: self._roles.work(number))
        seat.restarts.started(time.monotonic())
        log.info("worker_started", worker=number, pid=seat.pid)

    def _start_store(self) -> bool:
        self._store.pid = self._fork(self._roles.store)
        self._store.restarts.started(time.monotonic())
        deadline = time.monotonic() + STORE_STARTS_WITHIN
        while not self._store_path.exists():
            self._wait(STARTING_POLL)
            if not self._store.pid or self._signals or time.monotonic() > deadline:
                log.error("store_not_started")
                return False
        return True

    def _end_store(self) -> None:
        deadline = time.monotonic() + STORE_ENDS_WITHIN
        if self._store.pid:
            os.kill(self._store.pid, signal.SIGTERM)
        while self._store.pid and time.monotonic() < deadline:
            self._wait(STARTING_POLL)
        if self._store.pid:
            os.kill(self._store.pid, signal.SIGKILL)  # it holds nothing that is worth keeping

    def _fork(self, role: Callable[[], int]) -> int:
        """Start a process of this one's making; its pid."""
        pid = os.fork()
        if not pid:
            _become(role, self._wakeup)
        return pid

    def _listen_to_signals(self) -> None:
        for end in self._wakeup:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, _noted)


def _become(role: Callable[[], int], inherited: Sequence[int]) -> NoReturn:
    """Be another process from here on; what it raises is its end, not this one's."""
    status = FAILED
    try:
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        # One that comes before the worker listens to it waits until then.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        for end in inherited:
            os.close(end)
        os.setpgid(0, 0)  # what a terminal says is for the supervisor, which tells
        status = role()
    except BaseException:
        log.exception("process_failed")
    finally:
        os._exit(status)


def _noted(_: int, __: FrameType | None) -> None:
    """The wake-up descriptor says which signal it was."""
