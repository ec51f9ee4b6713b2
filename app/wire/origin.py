"""Where the message that is being delivered came from, so that it can go on as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    class Runner(Protocol):
        """A socket to which frames of the present read go on as they came."""

        def cork_run(self, frames: bytes) -> None:
            """Cork what ran on so far."""
            ...


class Origin:
    """The unmasked frame whose payload an owner is looking at right now.

    A server's frames go to a browser unmasked as they came from upstream. When an owner sends on
    the very object that it was given, the frame's own bytes are written instead of a new frame;
    and frames that follow one another in a read, and are all sent on, are one slice of it.
    `payload` is that object, or None; `data[start:stop]` is its frame, as long as the read lasts.
    """

    __slots__ = ("_run_start", "_run_stop", "_runner", "data", "payload", "start", "stop")

    def __init__(self) -> None:
        self.data = b""
        self.payload: bytes | None = None
        self.start = 0
        self.stop = 0
        self._runner: Runner | None = None
        self._run_start = 0
        self._run_stop = 0

    def run_on(self, runner: Runner) -> None:
        """Let the present frame go to `runner` as it came."""
        if runner is not self._runner or self._run_stop != self.start:
            self.end_run()
            self._runner = runner
            self._run_start = self.start
        self._run_stop = self.stop

    def end_run(self) -> None:
        """Cork the run where it goes, if there is one."""
        runner = self._runner
        if runner is not None:
            self._runner = None
            runner.cork_run(self.data[self._run_start : self._run_stop])

    def release(self) -> None:
        """Forget the read: it has been delivered."""
        if self._runner is not None:
            self.end_run()
        self.payload = None
        self.data = b""

    def running(self, runner: Runner) -> int:
        """How many bytes run on to `runner` and are not corked yet."""
        return self._run_stop - self._run_start if runner is self._runner else 0
