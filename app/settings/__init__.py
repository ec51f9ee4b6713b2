"""The operator's configuration: environment variables named `RELAY_*`, and nothing else.

`load` reads them once, reports every fault at once, and hands on a frozen value. Only `main` and
`cli` import this package; everybody else is given small values made from it.
"""

from app.settings.agents import AgentSettings
from app.settings.load import adopt, load, reloadable_files, with_source_lines
from app.settings.model import Settings

__all__ = ["AgentSettings", "Settings", "adopt", "load", "reloadable_files", "with_source_lines"]
