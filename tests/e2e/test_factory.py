"""`uvicorn --factory app.main:create_app`: any ASGI server starts it from the environment."""

from __future__ import annotations

import httpx

from tests.support.gateway import KEY, Emulator, Running, clean_environment
from tests.support.plain import plain_client
from tests.support.ports import free_port
from tests.support.waiting import until


def server(port: int, environment: dict[str, str]) -> Running:
    """uvicorn's own command, which knows nothing of this gateway but the factory's name."""
    command = ["-m", "uvicorn", "--factory", "app.main:create_app", "--port", str(port)]
    return Running(command, clean_environment() | environment)


async def test_another_server_starts_it_from_the_environment(emulator: Emulator) -> None:
    port = free_port()
    running = await server(
        port,
        {
            "RELAY_BLACKBOX_URL": emulator.url,
            "RELAY_BLACKBOX_API_KEY": KEY,
            "RELAY_AUTH": "open",
            "RELAY_MAX_SESSIONS": "7",
        },
    ).start()
    running.secrets["API key"] = KEY

    async def limits() -> dict[str, int] | None:
        async with plain_client() as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}/readyz")
            except httpx.TransportError:
                return None
            found: dict[str, int] = answer.json()["limits"]
            return found

    try:
        await until(limits, within=60)
        found = await limits()
        assert found is not None
        assert 7 in found.values()
    finally:
        await running.stop()


async def test_a_wrong_environment_names_the_variable() -> None:
    running = await server(free_port(), {"RELAY_PORTT": "1"}).start()
    assert await running.ended() != 0
    assert "RELAY_PORTT is unknown; did you mean RELAY_PORT?" in running.log
