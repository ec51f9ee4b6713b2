"""A tunnel through a proxy: CONNECT, and a judgement of its answer (RFC 9110 §9.3.6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.network.connecting import connect
from app.network.names import Resolve, system_resolve
from app.protocol.errors import RelayError

if TYPE_CHECKING:
    import socket

    from app.network.proxies import Proxy

MAX_HEAD: Final = 16 * 1024
HEAD_END: Final = b"\r\n\r\n"
PROXY_AUTHENTICATION_REQUIRED: Final = 407


class TunnelRefused(RelayError):  # noqa: N818 - what happened, as in the error tree
    """A proxy did not open a tunnel. `status` is its HTTP status where it gave one."""

    def __init__(self, proxy: Proxy, status: int | None = None) -> None:
        super().__init__(f"the proxy of {proxy.variable} gave no tunnel ({status or 'no answer'})")
        self.variable = proxy.variable
        self.status = status


def connect_request(host: str, port: int, proxy: Proxy) -> bytes:
    """Write the request for a tunnel to a host."""
    bare = host.strip("[]")
    target = f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", "User-Agent: blackbox-relay"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization.get_secret_value()}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def judge(answer: bytes, proxy: Proxy) -> bool:
    """Tell whether the answer so far opens the tunnel; False where more has to come.

    Any 2xx does, whatever its headers say of a body. Raises TunnelRefused.
    """
    head, end, behind = answer.partition(HEAD_END)
    if not end and len(head) <= MAX_HEAD:
        return False
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    known = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1].isdigit()
    status = int(words[1][:4]) if known else None
    # In TLS, HTTP and WebSocket the client speaks first: what comes early is not the host's.
    if status is None or not 200 <= status < 300 or behind or not end:  # noqa: PLR2004
        raise TunnelRefused(proxy, status)
    return True


async def open_tunnel(
    proxy: Proxy, host: str, port: int, *, resolve: Resolve = system_resolve
) -> socket.socket:
    """Return a connected socket that leads to a host through a proxy; raises TunnelRefused."""
    try:
        made = await connect(proxy.host, proxy.port, resolve=resolve)
    except OSError:
        raise TunnelRefused(proxy) from None
    try:
        await _ask(made, connect_request(host, port, proxy), proxy)
    except OSError:
        made.close()
        raise TunnelRefused(proxy) from None
    except BaseException:
        made.close()
        raise
    return made


async def _ask(made: socket.socket, request: bytes, proxy: Proxy) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(made, request)
    answer = b""
    while not judge(answer, proxy):
        received = await loop.sock_recv(made, 4096)
        if not received:
            raise TunnelRefused(proxy)
        answer += received
