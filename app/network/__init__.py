"""How outgoing connections begin: names, addresses, proxies. No HTTP and no WebSocket.

`connect` races the addresses of a name (RFC 8305), `Proxies` says who stands in between, `tunnel`
asks that one to pass bytes on (RFC 9110 §9.3.6).
"""

from app.network.connecting import connect, way_to
from app.network.names import Resolve, interleaved, system_resolve
from app.network.proxies import DIRECT, Proxies, Proxy
from app.network.race import race
from app.network.tunnel import TunnelRefused, open_tunnel

__all__ = [
    "DIRECT",
    "Proxies",
    "Proxy",
    "Resolve",
    "TunnelRefused",
    "connect",
    "interleaved",
    "open_tunnel",
    "race",
    "system_resolve",
    "way_to",
]
