"""Why a tool call failed, for the log's `cause`: a closed set; the README says what to do."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """The words of `tool_failed`. None is an exception's name: each leads to what is wrong."""

    BAD_ARGS = "bad_args"
    """The model's arguments do not fit the schema."""
    TIMEOUT = "timeout"
    TOOL_RAISED = "tool_raised"
    """A Python function raised; `exception` and `at` say what and where."""
    TOOL_ERROR = "tool_error"
    """The tool itself said what is wrong, and the agent was told."""
    RESULT_NOT_JSON = "result_not_json"
    RESULT_TOO_LARGE = "result_too_large"
    NUMBER_TOO_LARGE = "number_too_large"
    UNREACHABLE = "unreachable"
    CERTIFICATE_NOT_TRUSTED = "certificate_not_trusted"
    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    HTTP_3XX = "http_3xx"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    ANSWER_NOT_HTTP = "answer_not_http"
    ANSWER_TOO_LARGE = "answer_too_large"
    ANSWER_COMPRESSED = "answer_compressed"
    ANSWER_NOT_JSON = "answer_not_json"
    ANSWER_NOT_UTF8 = "answer_not_utf8"
    SCHEMA_UNRESOLVABLE = "schema_unresolvable"
    """The schema of the arguments refers to another document."""
    MCP_SERVER_LOST = "mcp_server_lost"
    MCP_ERROR = "mcp_error"
    """The server answered with a JSON-RPC error; `code` is its number."""
    MCP_ANSWER_INVALID = "mcp_answer_invalid"
    """The server's answer is none that the protocol knows."""
    MCP_OUTPUT_SCHEMA = "mcp_output_schema"
    """The server's structured answer does not fit the schema that it declared."""


class McpLoss(StrEnum):
    """Why an MCP server cannot be used now: the words of `mcp_server_lost`."""

    COMMAND_NOT_FOUND = "command_not_found"
    COMMAND_NOT_EXECUTABLE = "command_not_executable"
    CONNECTION_CLOSED = "connection_closed"
    """The server ended, or closed its side; a command that fails at once shows as this."""
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CERTIFICATE_NOT_TRUSTED = "certificate_not_trusted"
    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    HTTP_3XX = "http_3xx"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    ANSWER_TOO_LARGE = "answer_too_large"
    ANSWER_COMPRESSED = "answer_compressed"
    ANSWER_INVALID = "answer_invalid"
    """What came is not MCP, or a version of it that is not known here."""
    REFUSED = "refused"
    """The server answered the handshake or the listing with a JSON-RPC error."""
