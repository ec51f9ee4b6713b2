"""PostgreSQL URLs as providers hand them out, and what is refused of them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url
from structlog.testing import capture_logs

from app.history.database import Database
from app.history.errors import HistoryUnavailable
from app.history.postgres import postgres_options
from tests.state.test_factory import self_signed
from tests.support.pgbouncer import PgBouncer

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.postgres import PostgresOptions
    from tests.support.postgres import Postgres

BASE = "postgresql+asyncpg://relay:canary-password@127.0.0.1:5432/relay"


def options(query: str) -> PostgresOptions:
    return postgres_options(make_url(f"{BASE}?{query}"), 5.0)


@pytest.mark.parametrize(
    ("query", "verified", "named"),
    [
        ("sslmode=require", False, False),
        ("ssl=require", False, False),
        ("ssl=true", False, False),
        ("sslmode=verify-ca", True, False),
        ("sslmode=verify-full", True, True),
        ("sslmode=VERIFY-FULL", True, True),
        ("sslmode=verify-full&sslrootcert=system", True, True),
    ],
)
def test_mode_decides_what_is_verified(query: str, verified: bool, named: bool) -> None:
    context = options(query).arguments["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode == ssl.CERT_REQUIRED) is verified
    assert context.check_hostname is named


def test_require_with_a_root_verifies_the_certificate_and_not_the_name(tmp_path: Path) -> None:
    root, _ = self_signed(tmp_path)
    context = options(f"sslmode=require&sslrootcert={root}").arguments["ssl"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert not context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_own_certificate_is_loaded(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    assert options(f"sslmode=require&sslcert={certificate}&sslkey={key}").arguments["ssl"]


def test_process_s_trust_is_used_where_no_root_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, _ = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert len(options("sslmode=verify-full").arguments["ssl"].get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("nosuch=1", "nosuch"),
        ("sslmod=require", "sslmod"),
        ("connection_limit=1&schema=canary", "connection_limit, schema"),
        ("sslmode=canary", "sslmode"),
        ("sslmode=verify-full&sslrootcert=/nowhere/canary.pem", "sslrootcert"),
        ("sslmode=require&sslcert=/nowhere/canary.pem", "sslcert"),
        ("sslmode=require&ssl_min_protocol_version=canary", "ssl_min_protocol_version"),
        ("sslmode=require&sslmode=canary", "sslmode more than once"),
        ("connect_timeout=canary", "connect_timeout"),
    ],
)
def test_what_the_driver_cannot_take_is_refused_by_name(query: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        Database(SecretStr(f"{BASE}?{query}"))
    assert "canary" not in str(refused.value)


def test_channel_binding_is_dropped_with_a_warning() -> None:
    with capture_logs() as logs:
        Database(SecretStr(f"{BASE}?sslmode=require&channel_binding=require"))
    assert [(log["event"], log["parameter"]) for log in logs] == [
        ("history_url_parameter_ignored", "channel_binding")
    ]
    with capture_logs() as logs:
        Database(SecretStr(f"{BASE}?sslmode=require&channel_binding=prefer"))
    assert logs == []


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=disable",
        "sslmode=prefer",
        "sslmode=allow",
        "target_session_attrs=read-write",
        "target_session_attrs=primary&sslmode=prefer&connect_timeout=10",
        "application_name=shop&options=-csearch_path%3Dpublic",
        "channel_binding=prefer&gssencmode=disable&keepalives=1",
        "pgbouncer=true",
        "prepared_statement_cache_size=0",
    ],
)
async def test_url_as_a_provider_writes_it_reaches_the_server(
    postgres: Postgres, query: str
) -> None:
    database = Database(SecretStr(f"{await postgres.database()}?{query}"))
    try:
        assert await database.run(_asked) == 1
    finally:
        await database.close()


async def _asked(connection: AsyncConnection) -> int:
    answer: int = (await connection.exec_driver_sql("SELECT 1")).scalar_one()
    return answer


async def test_several_hosts_lead_to_the_one_that_answers(postgres: Postgres) -> None:
    direct = await postgres.database()
    name = direct.rpartition("/")[2]
    hosts = f"host=127.0.0.1:1&host=127.0.0.1:{postgres.port}&target_session_attrs=read-write"
    database = Database(SecretStr(f"postgresql+asyncpg://relay@/{name}?{hosts}"))
    try:
        assert await database.run(_asked) == 1
    finally:
        await database.close()


async def test_startup_parameters_of_the_url_reach_the_server(postgres: Postgres) -> None:
    query = "application_name=shop&options=-cstatement_timeout%3D4321"
    database = Database(SecretStr(f"{await postgres.database()}?{query}"))
    try:

        async def shown(connection: AsyncConnection) -> list[str]:
            return [
                (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one()
                for name in ("application_name", "statement_timeout")
            ]

        assert await database.run(shown) == ["shop", "4321ms"]
    finally:
        await database.close()


async def test_server_without_tls_is_named_where_the_url_demands_it(postgres: Postgres) -> None:
    database = Database(SecretStr(f"{await postgres.database()}?sslmode=require"))
    try:
        with pytest.raises(HistoryUnavailable) as lost:
            await database.run(lambda c: c.exec_driver_sql("SELECT 1"))
        assert "offers no TLS" in lost.value.advice
    finally:
        await database.close()


async def test_tls_is_used_and_verified(postgres: Postgres, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    direct = await postgres.database()
    with PgBouncer(postgres.port, "session", tls=(certificate, key)) as pooler:
        url = pooler.url(direct, postgres.port)
        assert await reached(f"{url}?sslmode=require") == ""
        assert await reached(f"{url}?sslmode=prefer") == ""
        assert await reached(f"{url}?sslmode=verify-full&sslrootcert={certificate}") == ""
        assert "SSL_CERT_FILE" in await reached(f"{url}?sslmode=verify-full")
        assert await reached(f"{url}?sslmode=disable") != ""
        other = url.replace("127.0.0.1", "localhost")  # the certificate names the address alone
        assert await reached(f"{other}?sslmode=verify-ca&sslrootcert={certificate}") == ""
        assert await reached(f"{other}?sslmode=verify-full&sslrootcert={certificate}") != ""


async def reached(url: str) -> str:
    """What connecting failed with, and the advice; empty if it did not."""
    database = Database(SecretStr(url))
    try:
        await database.run(lambda c: c.exec_driver_sql("SELECT 1"))
    except HistoryUnavailable as lost:
        return f"{lost} {lost.advice}"
    finally:
        await database.close()
    return ""
