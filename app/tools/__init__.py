"""What an agent can call: Python functions, HTTP endpoints, MCP servers; each call answered once.

from app.tools import tool, ToolContext
"""

from app.tools.declare import DeclaredTool, tool
from app.tools.port import BadArgs, Fallback, Tool, ToolContext, ToolError, ToolFailed
from app.tools.registry import Registry, ToolRow
from app.tools.runner import Runner

__all__ = [
    "BadArgs",
    "DeclaredTool",
    "Fallback",
    "Registry",
    "Runner",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolFailed",
    "ToolRow",
    "tool",
]
