"""What can be set about an emulator, once, when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_KEY: Final = "emulator-key"
DEFAULT_TOKEN: Final = "emulator-token"  # noqa: S105 - the fake vendor's well-known token
DEFAULT_AGENTS: Final[Mapping[str, str]] = MappingProxyType(
    {"chat": "support", "webCall": "voice", "onPhone": "phone"}
)


@dataclass(frozen=True, slots=True)
class Options:
    """How the fake vendor behaves. Durations in seconds, sizes in bytes.

    `agents` names the agent of a call type whose initialize names none. `pace` is the pause
    between an agent's turns: none for tests, a little for people. `fault` strikes every dial.
    `partials` sends partial texts before each final one. `concurrency` is how many conversations
    may be live at once; None: any number.
    """

    host: str = "127.0.0.1"
    port: int = 0
    api_key: str = field(default=DEFAULT_KEY, repr=False)
    token: str = field(default=DEFAULT_TOKEN, repr=False)
    agents: Mapping[str, str] = field(default_factory=lambda: DEFAULT_AGENTS)
    fault: str | None = None
    plain: bool = False
    partials: bool = False
    pace: float = 0.0
    handshake_timeout: float = 10.0
    initialize_timeout: float = 10.0
    close_timeout: float = 3.0
    tool_timeout: float = 30.0
    max_message: int = 256 * 1024
    concurrency: int | None = None
    keep_conversations: int = 2_000
    keep_frames: int = 5_000
    keep_bytes: int = 64 * 1024 * 1024
