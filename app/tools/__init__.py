"""What an agent can call: Python functions, HTTP endpoints, MCP servers; each call answered once.

from app.tools import tool, ToolContext
"""

from app.tools.declare import DeclaredTool, tool
from app.tools.executor import ToolExecutor
from app.tools.interface import BadArgs, Fallback, Tool, ToolContext, ToolError, ToolFailed
from app.tools.registry import Registry, ToolRow

__all__ = [
    "BadArgs",
    "DeclaredTool",
    "Fallback",
    "Registry",
    "Tool",
    "ToolContext",
    "ToolError",
    "ToolExecutor",
    "ToolFailed",
    "ToolRow",
    "tool",
]
