"""Zero-copy forwarding: the frame of the message that is being delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    class ForwardTarget(Protocol):
        """A socket to which frames of the present read go on as they came."""

        def write_forwarded(self, frames: bytes) -> None:
            """Cork what ran on so far."""
            ...


class PassThrough:
    """The unmasked frame whose payload an owner is looking at right now.

    A server's frames go to a browser unmasked as they came from upstream. When an owner sends on
    the very object that it was given, the frame's own bytes are written instead of a new frame;
    and frames that follow one another in a read, and are all sent on, are one slice of it.
    `payload` is that object, or None; `data[start:stop]` is its frame, as long as the read lasts.
    """

    __slots__ = ("_forward_start", "_forward_stop", "_target", "data", "payload", "start", "stop")

    def __init__(self) -> None:
        self.data = b""
        self.payload: bytes | None = None
        self.start = 0
        self.stop = 0
        self._target: ForwardTarget | None = None
        self._forward_start = 0
        self._forward_stop = 0

    def forward(self, target: ForwardTarget) -> None:
        """Let the present frame go to `target` as it came."""
        if target is not self._target or self._forward_stop != self.start:
            self.end_forward()
            self._target = target
            self._forward_start = self.start
        self._forward_stop = self.stop

    def end_forward(self) -> None:
        """Cork the run where it goes, if there is one."""
        target = self._target
        if target is not None:
            self._target = None
            target.write_forwarded(self.data[self._forward_start : self._forward_stop])

    def release(self) -> None:
        """Forget the read: it has been delivered."""
        if self._target is not None:
            self.end_forward()
        self.payload = None
        self.data = b""

    def forwarded_size(self, target: ForwardTarget) -> int:
        """How many bytes run on to `target` and are not corked yet."""
        return self._forward_stop - self._forward_start if target is self._target else 0
