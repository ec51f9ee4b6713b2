"""What a tool of an MCP server takes and answers, by the schemas that the server declares.

The server checks its arguments itself, and its schemas cannot be mended here: whatever of them
cannot be read is left to the server, and a warning says so once for each tool.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import structlog

from app.tools.interface import BadArgs, ToolError, ToolFailed
from blackbox_relay import exact_json
from blackbox_relay.arguments import Arguments, unwrapped
from blackbox_relay.causes import Cause
from blackbox_relay.schema import InvalidSchema, SchemaCheck

if TYPE_CHECKING:
    from mcp_types import CallToolResult
    from mcp_types import Tool as Found

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Listed:
    """A tool as its server lists it; `takes` and `gives` are None where nothing can be checked."""

    server: str
    found: Found
    takes: Arguments | None
    gives: SchemaCheck | None
    doubted: bool = False

    def arguments(self, args: Any) -> dict[str, Any]:
        """Return the arguments as the server's schema means them; raises BadArgs, ToolFailed."""
        args = unwrapped(args, {}) if self.takes is None else self.takes.checked(args)
        if not isinstance(args, dict):  # MCP knows no others
            raise BadArgs("the arguments: object type")
        return args

    def result(self, answer: CallToolResult) -> Any:
        """Return what the agent gets: the structured content, else the text, else every block.

        Raises ToolError with the server's own text where it says that the call failed, and
        ToolFailed where its structured content is not what it declared.
        """
        if answer.is_error:
            raise ToolError(_text(answer))
        structured = answer.structured_content
        if structured is None:
            if self.found.output_schema is not None:
                self._doubt("no structuredContent came, the text is used")
            return _plain(answer)
        if not _finite(structured):
            raise ToolFailed(Cause.NUMBER_TOO_LARGE)
        if self.gives is not None and self._unfit(self.gives, structured):
            raise ToolFailed(Cause.MCP_OUTPUT_SCHEMA)
        return structured

    def _unfit(self, gives: SchemaCheck, structured: Any) -> bool:
        try:
            return gives.error(structured) is not None
        except (BadArgs, ToolFailed):  # the schema refers elsewhere, or never ends
            self._doubt("the outputSchema cannot be checked")
            return False

    def _doubt(self, fault: str) -> None:
        """Warn once for each tool as it is listed now."""
        if not self.doubted:
            self.doubted = True
            tool = self.found.name
            log.warning("mcp_output_schema", server=self.server, tool=tool, fault=fault)


def listed(server: str, found: Found) -> Listed:
    """Read a tool's schemas; what cannot be read is not checked, and named in the log."""
    takes: Arguments | None = None
    gives: SchemaCheck | None = None
    faults: list[str] = []
    try:
        takes = Arguments(found.input_schema)
        faults += [_unreadable("inputSchema", place) for place in takes.unreadable]
    except InvalidSchema as error:
        faults.append(f"inputSchema: {error}")
    if found.output_schema is not None:
        try:
            gives = SchemaCheck(found.output_schema)
            faults += [_unreadable("outputSchema", place) for place in gives.unreadable]
        except InvalidSchema as error:
            faults.append(f"outputSchema: {error}")
    for fault in faults:
        log.warning("mcp_schema_not_checked", server=server, tool=found.name, fault=fault)
    return Listed(server, found, takes, gives)


def _unreadable(schema: str, place: str) -> str:
    return f"{schema}: a regular expression that RE2 cannot match at {place}"


def _plain(answer: CallToolResult) -> Any:
    blocks = [block.model_dump(mode="json", exclude_none=True) for block in answer.content]
    if all(block.get("type") == "text" for block in blocks):
        return "\n".join(str(block["text"]) for block in blocks)
    return blocks


def _text(answer: CallToolResult) -> str:
    """Return what an error result says, which the protocol means for the model to read."""
    texts = [block.text for block in answer.content if block.type == "text"]
    if not texts and answer.structured_content:
        return exact_json.dumps(answer.structured_content).decode()
    return "\n".join(texts)


def _finite(value: Any) -> bool:
    """Tell whether no number was beyond a double's range: the SDK reads those as infinities."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float) and not isfinite(item):
            return False
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return True
