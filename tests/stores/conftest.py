"""PostgreSQL as it is deployed: one server for the tests that do it no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server
