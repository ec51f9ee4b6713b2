"""Take replicas that are not ready out of nginx's rotation, and put them back.

Open-source nginx has no active health checks. This asks every replica of gateways.conf for
`/readyz` once a second; after two equal answers in a row that differ from before it writes `down`
into gateways.conf and internals.conf, or removes it, and reloads nginx. Existing sockets stay with
the old workers. Two seconds are well within RELAY_DRAIN_DELAY (5 s), for which a replica that got
SIGTERM still takes new sessions.

When no replica is ready none is marked: the gateway's own refusal (4503, with the time to wait)
tells a browser more than nginx's 502.

    readiness.py --directory /etc/nginx/relay --reload "nginx -s reload"

Runs until SIGTERM. Exits 1 if the two files do not name the same number of replicas.
"""
# ruff: noqa: T201 - a script speaks by printing

from __future__ import annotations

import argparse
import http.client
import re
import shlex
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SERVER = re.compile(r"^(\s*server\s+)([^\s;]+)([^;]*);", re.MULTILINE)
FILES = ("gateways.conf", "internals.conf")
AGREE = 2  # answers in a row


def main() -> int:
    """Watch until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", type=Path, default=Path(__file__).parent)
    parser.add_argument("--reload", default="nginx -s reload", metavar="COMMAND")
    parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS")
    options = parser.parse_args()

    texts = [(options.directory / name).read_text() for name in FILES]
    replicas = addresses(texts[0])
    if not replicas or len(replicas) != len(addresses(texts[1])):
        print(f"{' and '.join(FILES)} must name the same replicas", file=sys.stderr)
        return 1

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    # What the files say now is what nginx believes; a restart of this script changes nothing.
    believed = [" down" not in match[3] for match in SERVER.finditer(texts[0])]
    doubts = [0] * len(replicas)
    with ThreadPoolExecutor(len(replicas)) as pool:
        while not stop.is_set():
            answers = list(pool.map(ready, replicas))
            for number, answer in enumerate(answers):
                doubts[number] = doubts[number] + 1 if answer != believed[number] else 0
            if any(doubt >= AGREE for doubt in doubts):
                for number, doubt in enumerate(doubts):
                    if doubt >= AGREE:
                        believed[number], doubts[number] = answers[number], 0
                        word = "ready" if answers[number] else "not ready"
                        print(f"{replicas[number]} is {word}", flush=True)
                write(options.directory, believed)
                subprocess.run(shlex.split(options.reload), check=False)  # noqa: S603 - operator's
            stop.wait(options.interval)
    return 0


def addresses(text: str) -> list[str]:
    """Return the host:port of every `server` line, in order."""
    return [match[2] for match in SERVER.finditer(text)]


def ready(address: str) -> bool:
    """Whether `/readyz` at this address answers 200 within a second."""
    connection = http.client.HTTPConnection(address, timeout=1)
    try:
        connection.request("GET", "/readyz", headers={"Host": "readiness"})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def write(directory: Path, states: list[bool]) -> None:
    """Rewrite both files, each at once: nginx never reads half of one."""
    for name in FILES:
        path = directory / name
        fresh = path.with_suffix(".new")
        fresh.write_text(mark(path.read_text(), states))
        fresh.replace(path)


def mark(text: str, states: list[bool]) -> str:
    """Return `text` with `down` on the servers that are not ready, unless none is."""
    wanted = iter(states if any(states) else [True] * len(states))

    def line(match: re.Match[str]) -> str:
        parameters = match[3].replace(" down", "")
        return f"{match[1]}{match[2]}{parameters}{'' if next(wanted) else ' down'};"

    return SERVER.sub(line, text)


if __name__ == "__main__":
    sys.exit(main())
