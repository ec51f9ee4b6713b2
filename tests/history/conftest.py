"""A database of each kind, real, and fresh for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from app.history.database import Database
from tests.support.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
async def postgres_url(postgres: Postgres) -> SecretStr:
    return SecretStr(await postgres.database())


@pytest.fixture
def sqlite_url(tmp_path: Path) -> SecretStr:
    return SecretStr(f"sqlite+aiosqlite:///{tmp_path}/history.db")


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, sqlite_url: SecretStr) -> SecretStr:
    if request.param == "sqlite":
        return sqlite_url
    server: Postgres = request.getfixturevalue("postgres")
    return SecretStr(await server.database())


@pytest.fixture
async def database(url: SecretStr) -> AsyncIterator[Database]:
    it = Database(url)
    yield it
    await it.close()


@pytest.fixture
async def other(url: SecretStr) -> AsyncIterator[Database]:
    """The same database, as another replica or an administrator has it."""
    it = Database(url)
    yield it
    await it.close()
