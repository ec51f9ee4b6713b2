"""Variables that an orchestrator sets for a Service called `relay`, or `relay-…`.

Kubernetes tells every container of every Service in its namespace (`enableServiceLinks`), in
variables that begin with the Service's name: those of one named `relay` look like this gateway's.
"""

from __future__ import annotations

import re
from typing import Final

SERVICE_LINKS: Final = (
    "Kubernetes sets it for a Service with such a name: set enableServiceLinks: false for the pod"
)
LINK: Final = re.compile(
    r"RELAY_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://")


def is_service_link(name: str, value: str) -> bool:
    """Tell whether a variable is such a one, by its name or by an address as a port's value."""
    return bool(LINK.fullmatch(name) or (name.endswith("_PORT") and ADDRESS.match(value)))
