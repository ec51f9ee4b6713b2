"""Tests that run at the same time, and servers of one test, do not choose the same port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.ports import WORKERS, free_port

if TYPE_CHECKING:
    import pytest


def test_no_port_is_given_twice_in_a_row_of_many() -> None:
    ports = [free_port() for _ in range(400)]
    assert len(set(ports)) == len(ports)


def test_workers_of_a_run_choose_among_different_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    for worker in range(WORKERS):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{worker}")
        seen.append({free_port() for _ in range(20)})
    assert sum(map(len, seen)) == len(set().union(*seen))
    assert [len({port % WORKERS for port in ports}) for ports in seen] == [1] * WORKERS
