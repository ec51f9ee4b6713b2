"""`/asyncapi.json` and `/openapi.json`: valid, and true of a real gateway."""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from app.protocol.close_codes import CLOSE_REASONS
from app.protocol.frames import BROWSER_TYPES, UPSTREAM_TYPES
from app.web.asyncapi import document
from app.web.frame_schemas import CARRIED, OWN, example
from tests.support import gateway as processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")
HERE = Path(__file__).parent
ASKED_OF_THE_BROWSER = "websocketToolRequest"
NOT_FORWARDED = {"initialize", "relay.received", "relay.ping", "relay.approval"}
HIDDEN = {"toolCall", "toolCallResult"}


class Vendor:
    """A vendor that says one example of everything, and keeps what it hears."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.says = [example(kind) for kind in sorted(UPSTREAM_TYPES - {"conversationResult"})]

    async def converse(self, ws: ServerConnection) -> None:
        """One conversation: hear `initialize`, say everything, hear everything."""
        await self.heard.put(json.loads(await ws.recv()))
        # An error before anything else is a refusal; so the first word is another.
        for frame in sorted(self.says, key=lambda frame: frame["type"] == "error"):
            await ws.send(json.dumps(frame))
        async for message in ws:
            await self.heard.put(json.loads(message))


@asynccontextmanager
async def vendor() -> AsyncIterator[Vendor]:
    """A vendor for the time of a block."""
    running = Vendor()
    async with serve(running.converse, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        running.url = f"ws://127.0.0.1:{port}"
        yield running


async def test_every_type_and_every_close_code_is_described() -> None:
    written = document()
    names = {message["name"] for message in written["components"]["messages"].values()}
    assert names == BROWSER_TYPES | UPSTREAM_TYPES | set(OWN)
    assert set(CARRIED) == BROWSER_TYPES | UPSTREAM_TYPES
    codes = {row["code"] for row in written["channels"]["conversation"]["x-close-codes"]}
    assert codes == {reason.code for reason in CLOSE_REASONS}


async def test_every_example_fits_its_own_schema() -> None:
    for message in document()["components"]["messages"].values():
        validator = Draft202012Validator(message["payload"])
        for given in message["examples"]:
            assert not list(validator.iter_errors(given["payload"])), message["name"]


async def test_asyncapi_s_own_parser_finds_no_fault() -> None:
    assert shutil.which("node"), "Node.js is missing: install Debian's nodejs and npm"
    assert (HERE / "node_modules").is_dir(), "run npm ci in tests/web, or make test"
    parser = await asyncio.create_subprocess_exec(
        "node",
        "validate.mjs",
        cwd=HERE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await parser.communicate(json.dumps(document()).encode())
    assert parser.returncode == 0, said.decode()


async def test_openapi_is_valid_and_every_example_passes_a_real_gateway() -> None:
    agents = {"default": {"browser_tools": ["show_order"]}}
    async with vendor() as upstream, processes.gateway(upstream.url, agents=agents) as gateway:
        async with gateway.api() as client:
            validate((await client.get("/openapi.json")).json())
            assert (await client.get("/asyncapi.json")).json() == document()
        async with (
            asyncio.timeout(60),
            connect(
                f"{gateway.ws}/ws?call_type=chat", subprotocols=[Subprotocol("blackbox-relay.v1")]
            ) as ws,
        ):
            assert json.loads(await ws.recv())["name"] == "relay.session"
            shown = [json.loads(await ws.recv()) for _ in range(len(upstream.says) - len(HIDDEN))]
            expected = [frame for frame in upstream.says if frame["type"] not in HIDDEN]
            assert sorted(map(json.dumps, shown)) == sorted(map(json.dumps, expected))
            assert (await upstream.heard.get())["type"] == "initialize"
            sent = sorted(BROWSER_TYPES, key=lambda kind: kind == "terminate")
            for kind in sent:
                frame = example(kind)
                if kind == "relay.received":
                    frame["count"] = len(shown)
                await ws.send(json.dumps(frame))
            forwarded = [kind for kind in sent if kind not in NOT_FORWARDED]
            answers = [await upstream.heard.get() for _ in forwarded]
            assert answers == [example(kind) for kind in forwarded]
