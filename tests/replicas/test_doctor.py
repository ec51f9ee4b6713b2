"""`blackbox-relay doctor --url` through HAProxy as it should be, and through wrong ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.doctor import run_doctor
from tests.support.gateway import KEY, SERVICE_TOKEN
from tests.support.haproxy import balanced

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

PING = 3.0
WATCH = 4.0
# In deploy/, `/v1/*` is kept inside; the doctor is given a way to it, as on an operator's machine.
OPEN = ("|| { path,url_dec -m beg /v1/ }", "")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaPair]:
    """Two replicas behind whichever balancer."""
    directory = tmp_path_factory.mktemp("pair")
    async with replica_pair(
        directory, auth="ticket,open", ping_interval=PING, ping_timeout=PING
    ) as it:
        yield it


async def doctor(it: ReplicaPair, url: str, watch: float = 0.5) -> tuple[int, str]:
    """Run it as an operator does; return its exit status and what it said."""
    given = {
        "RELAY_BLACKBOX_API_KEY": KEY,
        "RELAY_BLACKBOX_URL": it.vendor.url,
        "RELAY_SERVICE_TOKENS": SERVICE_TOKEN,
    }
    arguments = ("--url", url, "--watch", str(watch))
    return await run_doctor(*arguments, environment=given, secrets=(KEY, SERVICE_TOKEN))


def without(header: str) -> Callable[[str], str]:
    """HAProxy's configuration, but that it takes a header out of requests."""
    kept = "http-request del-header Forwarded"
    return edited(OPEN, (kept, f"{kept}\n    http-request del-header {header}"))


def line(said: str, subject: str) -> str:
    """The finding about a subject, with its advice."""
    lines = said.splitlines()
    at = next(i for i, text in enumerate(lines) if f" {subject}: " in text)
    advice = lines[at + 1] if at + 1 < len(lines) and "→" in lines[at + 1] else ""
    return f"{lines[at].strip()} {advice.strip()}"


def edited(*changes: tuple[str, str]) -> Callable[[str], str]:
    """deploy/haproxy/haproxy.cfg with some lines changed; each must be there."""

    def edit(text: str) -> str:
        for before, after in changes:
            assert before in text, before
            text = text.replace(before, after)
        return text

    return edit


async def test_right_balancer_has_no_fault(pair: ReplicaPair, tmp_path: Path) -> None:
    async with balanced(tmp_path / "right", pair.ports, edited(OPEN)) as balancer:
        status, said = await doctor(pair, f"http://127.0.0.1:{balancer.public}", WATCH)
    assert status == 0, said
    for subject in ("gateway", "upgrade", "subprotocol", "idle socket", "client address"):
        assert line(said, subject).startswith("✓"), said
    assert " vendor's frames: " in said
    assert "✗" not in said
    assert "0 fault(s)" in said


async def test_balancer_that_cuts_idle_sockets_is_found(pair: ReplicaPair, tmp_path: Path) -> None:
    wrong = edited(OPEN, ("timeout tunnel 2m", "timeout tunnel 1s"))
    async with balanced(tmp_path / "idle", pair.ports, wrong) as balancer:
        status, said = await doctor(pair, f"http://127.0.0.1:{balancer.public}", WATCH)
    assert status == 1, said
    found = line(said, "idle socket")
    assert found.startswith("✗"), said
    assert "cut without a close frame after" in found
    assert "timeout tunnel" in found


async def test_balancer_that_drops_the_subprotocol_is_found(
    pair: ReplicaPair, tmp_path: Path
) -> None:
    wrong = without("Sec-WebSocket-Protocol")
    async with balanced(tmp_path / "subprotocol", pair.ports, wrong) as balancer:
        status, said = await doctor(pair, f"http://127.0.0.1:{balancer.public}")
    assert status == 1, said
    assert line(said, "subprotocol").startswith("✗"), said
    assert "no browser can resume" in line(said, "subprotocol")


async def test_balancer_that_drops_the_upgrade_is_found(pair: ReplicaPair, tmp_path: Path) -> None:
    wrong = without("Upgrade")
    async with balanced(tmp_path / "upgrade", pair.ports, wrong) as balancer:
        status, said = await doctor(pair, f"http://127.0.0.1:{balancer.public}")
    assert status == 1, said
    assert line(said, "upgrade").startswith("✗"), said


async def test_balancer_that_hides_the_browsers_address_is_found(
    pair: ReplicaPair, tmp_path: Path
) -> None:
    # The gateway is reached from an address that it does not trust, and is told no other.
    wrong = edited(
        OPEN,
        ("http-request set-header X-Forwarded-For %[src]", ""),
        ("option httpchk", "source 127.0.0.9\n    option httpchk"),
    )
    async with balanced(tmp_path / "address", pair.ports, wrong) as balancer:
        status, said = await doctor(pair, f"http://127.0.0.1:{balancer.public}")
    assert status == 1, said
    found = line(said, "client address")
    assert found.startswith("✗"), said
    assert "127.0.0.9 is the balancer's" in found
    assert "X-Forwarded-For" in found
