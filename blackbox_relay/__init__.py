"""For authors of tools and guardrails: what a module in RELAY_TOOLS or RELAY_GUARDRAILS imports.

    from blackbox_relay import tool, ToolContext

Nothing here imports the gateway, whose own package is called `app`: tools can be tested in a
backend that has a package of that name itself.
"""

from blackbox_relay.context import ToolContext
from blackbox_relay.declare import DeclaredTool, tool
from blackbox_relay.errors import BadArgs, ConfigurationError, ToolError, ToolFailed
from blackbox_relay.guardrail import GuardrailRequest, Verdict
from blackbox_relay.principal import CallType, Principal

__all__ = [
    "BadArgs",
    "CallType",
    "ConfigurationError",
    "DeclaredTool",
    "GuardrailRequest",
    "Principal",
    "ToolContext",
    "ToolError",
    "ToolFailed",
    "Verdict",
    "tool",
]
