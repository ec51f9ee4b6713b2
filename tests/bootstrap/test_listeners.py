"""The sockets of one port for several processes."""

from __future__ import annotations

import socket

import pytest

from app.bootstrap.listeners import addresses, listeners
from app.protocol.errors import ConfigurationError


def test_each_worker_listens_at_the_same_port() -> None:
    places = addresses("127.0.0.1", 0, "RELAY_PORT")
    opened = [listeners(places) for _ in range(3)]
    names = {each.getsockname() for some in opened for each in some}
    assert len(names) == 1
    [(host, port)] = names
    assert host == "127.0.0.1"
    with socket.create_connection((host, port)):
        pass
    for some in opened:
        for each in some:
            each.close()


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared by others"])
def test_a_port_that_others_have_is_refused(shared: bool) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError) as refused:
            addresses("127.0.0.1", port, "RELAY_INTERNAL_PORT")
    assert list(refused.value.faults) == [
        f"RELAY_INTERNAL_PORT: {port} at 127.0.0.1: Address already in use"
    ]


def test_a_name_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"RELAY_HOST: no\.such\.host\.invalid"):
        addresses("no.such.host.invalid", 0, "RELAY_PORT")
