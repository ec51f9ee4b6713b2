"""What a tool, or its declaration, may raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class RelayError(Exception):
    """Whatever this gateway raises on purpose."""


class ConfigurationError(RelayError):
    """The environment is wrong; `faults` holds one line each, naming the variable."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class ToolFailed(RelayError):  # noqa: N818 - what happened, as in the error tree
    """A tool did not answer usably. `cause` is a closed word for logs; agents never see it."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class BadArgs(RelayError):  # noqa: N818
    """The arguments do not fit the tool's schema. `fault` says where and how, without values."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault
