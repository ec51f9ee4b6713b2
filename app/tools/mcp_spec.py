"""How an operator writes an MCP server (RELAY_MCP_SERVERS), and what its tools are called here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from app.protocol.errors import ConfigurationError
from app.tools.http_spec import faults_of, safe_headers, safe_url
from app.tools.interface import NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_]")
LONGEST: Final = 128


class McpServerSpec(BaseModel):
    """One MCP server as written: `url` for streamable HTTP, or `command` for stdio.

    `prefix` goes before each tool's name, `tools` picks some. `timeout` is in seconds, for a call.
    `env` is added to the few variables that a child inherits; the gateway's own are not among them.
    `share_context` tells the server, under `_meta`, for whom a tool is called. `show_stderr` lets a
    child write into the gateway's standard error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[SecretStr, AfterValidator(safe_url)] | None = None
    headers: Annotated[dict[str, SecretStr], AfterValidator(safe_headers)] = Field(
        default_factory=dict
    )
    command: Annotated[str, Field(min_length=1)] | None = None
    args: list[str] = Field(default_factory=list, repr=False)
    env: dict[str, SecretStr] = Field(default_factory=dict)
    cwd: str | None = None
    prefix: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")] | None = None
    tools: list[str] | None = None
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    share_context: bool = False
    show_stderr: bool = False

    @model_validator(mode="after")
    def _one_transport(self) -> McpServerSpec:
        if (self.url is None) == (self.command is None):
            raise ValueError("needs either url or command")
        return self

    @property
    def origin(self) -> str:
        """Where it is: scheme, host and port, or the command without its arguments."""
        if self.url is None:
            return f"stdio:{self.command}"
        parts = urlsplit(self.url.get_secret_value())
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}"


def mcp_servers(written: Mapping[str, Any]) -> dict[str, McpServerSpec]:
    """Read RELAY_MCP_SERVERS; raises ConfigurationError with every fault, without values."""
    specs: dict[str, McpServerSpec] = {}
    faults: list[str] = []
    for name, value in written.items():
        if not NAME.fullmatch(name.replace("-", "_")):
            faults.append(f"RELAY_MCP_SERVERS: no server may be called {name!r}")
            continue
        try:
            specs[name] = McpServerSpec.model_validate(value)
        except ValidationError as error:
            faults.extend(f"RELAY_MCP_SERVERS: {name}{fault}" for fault in faults_of(error))
    if faults:
        raise ConfigurationError(faults)
    return specs


def tool_name(name: str, prefix: str | None = None) -> str:
    """Return the nearest name that the vendor's pattern allows."""
    joined = name if prefix is None else f"{prefix}_{name}"
    plain = NOT_IN_NAMES.sub("_", joined)[:LONGEST]
    return f"_{plain}"[:LONGEST] if not plain or plain[0].isdigit() else plain


def assign(
    found: Iterable[tuple[str, str | None, Iterable[str]]], taken: Collection[str]
) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str]]]:
    """Give each server's tools their names here.

    `found` holds server, prefix and tools in the order of the configuration. A name that is taken,
    by `taken` or by a server before, gets its server's name in front. Returns a mapping of names to
    (server, tool), and what found no name.
    """
    given: dict[str, tuple[str, str]] = {}
    left: list[tuple[str, str]] = []
    for server, prefix, tools in found:
        for tool in tools:
            for candidate in (tool_name(tool, prefix), tool_name(tool, server)):
                if candidate not in given and candidate not in taken:
                    given[candidate] = (server, tool)
                    break
            else:
                left.append((server, tool))
    return given, left
