"""A real Prometheus with deploy/'s configuration, on a free port, scraping what a test says."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import urllib.parse
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.deploy.balancer import NO_ANSWER, ask
from tests.deploy.tooling import DEPLOY, binary
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server."""

    port: int

    async def api(self, route: str, **parameters: str) -> Any:
        """Ask its API; a query that it does not understand raises."""
        path = f"/api/v1/{route}?{urllib.parse.urlencode(parameters)}"
        answer = json.loads((await asyncio.to_thread(ask, self.port, path)).text)
        assert answer["status"] == "success", f"{parameters}: {answer}"
        return answer["data"]

    async def numbers(self, query: str) -> list[float]:
        """The values that a query has now, without those that are no number."""
        found = (await self.api("query", query=query))["result"]
        values = [float(sample["value"][1]) for sample in found]
        return [value for value in values if not math.isnan(value)]


@asynccontextmanager
async def prometheus(directory: Path, targets: dict[str, int]) -> AsyncIterator[Prometheus]:
    """Run it for a block. `targets` is the port of each job; jobs without one are left out."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"] = [
        {**job, "static_configs": [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]}
        for job in config["scrape_configs"]
        if job["job_name"] in targets
    ]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(DEPLOY / "prometheus" / "rules.yml", directory)
    server = Prometheus(free_port())
    log = directory / "prometheus.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            binary("prometheus", "prometheus"),
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{server.port}",
            stdout=out,
            stderr=out,
        )

    def ready() -> bool:
        assert process.returncode is None, log.read_text()
        try:
            return ask(server.port, "/-/ready").status == 200
        except NO_ANSWER:
            return False

    try:
        await until(lambda: asyncio.to_thread(ready), within=30, every=0.1)
        yield server
    finally:
        process.terminate()
        async with asyncio.timeout(20):
            await process.wait()
