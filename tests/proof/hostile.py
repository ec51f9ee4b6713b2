"""Broken frames, messages and handshakes: refused by the protocol's words, never by a crash.

Frames come from a pool of streams that are mostly right, harmed by a seed and cut anywhere; what is
heard must not depend on the cuts. Some are held against another parser, as are messages. Handshakes
are judged again by rules of this file over h11's reading. A coverage-guided fuzzer (Atheris) looks
for more.
"""

from __future__ import annotations

import asyncio
import random
import re
import resource
import subprocess
import sys
from typing import Final

from app.protocol.codec import DecodeError, decode_strictly
from app.protocol.fast_path import is_simple_message, simple_type
from app.websocket.compiled import COMPILED
from tests.proof.credentials import quiet
from tests.proof.handshake_grammar import allowed, handshake, harmed
from tests.proof.parallel import spread
from tests.proof.report import ROOT, Bound, Proof, Result
from tests.protocol import reference_json
from tests.protocol.mutants import mutants as messages_gone_wrong
from tests.support.gateway import clean_environment
from tests.websocket.boundaries import Reader
from tests.websocket.listeners import MAX_MESSAGE, Heard, chop
from tests.websocket.streams import Stream
from tests.websocket.test_differential import compare, random_stream

POOL: Final = 4000
COMPARED_EVERY: Final = 200  # streams
CUT_EVERY: Final = 4
REFERENCE_EVERY: Final = 20  # messages
MESSAGES_SHARE, HANDSHAKES_SHARE, GUIDED_SHARE = 10, 10, 10  # of the frames' count
MEMORY: Final = 64 * 1024  # KiB that the process may grow by
HELD: Final = 2 * MAX_MESSAGE + 200


def frames(bound: Bound, result: Result) -> None:
    """Feed harmed streams to the parsers of both roles, each with one to three mutations."""
    dice = random.Random(bound.seed)  # noqa: S311 - to be had again
    pool = [_stream(dice, server=bool(n & 1)) for n in range(POOL)]
    made = streams = compared = heard = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while made < bound.count:
        if streams % 1000 == 0 and bound.over():
            break
        server = bool(streams & 1)
        harms = dice.randrange(1, 4)
        data = harmed(dice, pool[dice.randrange(POOL // 2) * 2 + server], harms)
        whole = _heard(data, result, server=server)
        if streams % CUT_EVERY == 0:
            _same_when_cut(whole, data, dice.getrandbits(16), result, server=server)
        if streams % COMPARED_EVERY == 0:
            compared += 1
            try:
                compare(data, dice.getrandbits(16), server=server)
            except AssertionError as error:
                result.lose(f"another parser judges otherwise: {str(error)[:300]}")
        made += harms
        heard += 0 if whole is None else len(whole.events)
        streams += 1
    result.add("mutations of frames", made)
    result.add("streams of frames", streams)
    result.add("messages and control frames heard", heard)
    result.add("streams held against another parser", compared)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    result.peak("KiB that memory grew by", grown)
    result.require(grown < MEMORY, f"memory grew by {grown} KiB")


def _stream(dice: random.Random, *, server: bool) -> bytes:
    return b"".join(random_stream(dice, server=server) for _ in range(dice.randrange(1, 3)))


def _heard(data: bytes, result: Result, *, server: bool) -> Heard | None:
    heard = Heard(server=server)
    try:
        heard.feed(data)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        result.lose(f"{type(error).__name__} from {data[:200]!r}")
        return None
    if heard.parser.held > HELD:
        result.lose(f"held {heard.parser.held} bytes of {data[:200]!r}")
    return heard


def _same_when_cut(
    whole: Heard | None, data: bytes, seed: int, result: Result, *, server: bool
) -> None:
    pieces = Heard(server=server)
    try:
        for piece in chop(data, seed):
            pieces.feed(piece)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        result.lose(f"{type(error).__name__} when cut by {seed}: {data[:200]!r}")
        return
    if whole is not None and (whole.events, whole.verdict) != (pieces.events, pieces.verdict):
        result.lose(f"heard otherwise when cut by {seed}: {data[:200]!r}")


def messages(bound: Bound, result: Result) -> None:
    """Judge messages that are nearly right, some of them by a second, slow reader, too."""
    dice = random.Random(bound.seed)  # noqa: S311 - to be had again
    number = 0
    for number, payload in enumerate(messages_gone_wrong(dice, bound.count), 1):
        if number % 1000 == 0 and bound.over():
            break
        try:
            simple_type(payload)
            is_simple_message(payload)
            good = _good(payload)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            result.lose(f"{type(error).__name__} from {payload[:200]!r}")
            continue
        if number % REFERENCE_EVERY == 0:
            result.require(good is _good_by_reference(payload), f"judged otherwise: {payload!r}")
    result.add("messages judged", number)


def _good(payload: bytes) -> bool:
    try:
        decode_strictly(payload)
    except DecodeError:
        return False
    return True


def _good_by_reference(payload: bytes) -> bool:
    try:
        reference_json.read(payload)
    except reference_json.NotStrict:
        return False
    return True


async def handshakes(bound: Bound, result: Result) -> None:
    """Send harmed handshakes; a WebSocket is opened by those alone that RFC 6455 §4.2.1 allows."""
    dice = random.Random(bound.seed)  # noqa: S311 - to be had again
    reader = Reader()
    opened = number = 0
    while number < bound.count and not bound.over():
        made = [handshake(dice) for _ in range(50)]
        readings = await asyncio.gather(*(_open(reader, data, result) for data in made))
        for data, written in zip(made, readings, strict=True):
            number += 1
            accepted = written.startswith(b"HTTP/1.1 101 ")
            opened += accepted
            if accepted and not allowed(data):
                result.lose(f"opened a WebSocket: {data!r}")
            if not accepted and written and not re.match(rb"HTTP/1\.1 [2345]\d\d ", written):
                result.lose(f"answered {written[:80]!r} to {data!r}")
    result.add("handshakes harmed", number)
    result.add("of them still right and opened", opened)


async def _open(reader: Reader, data: bytes, result: Result) -> bytes:
    try:
        reading = await reader.read(Stream(data, (data,)), early=False)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        result.lose(f"{type(error).__name__} from {data!r}")
        return b""
    return reading.written


def _shake_hands(bound: Bound, result: Result) -> None:
    with quiet():
        asyncio.run(handshakes(bound, result))


def guided(bound: Bound, result: Result) -> None:
    """Let Atheris look for inputs that reach more of the parsers, in a process of its own.

    A compiled build is not instrumented: there is no coverage to be guided by.
    """
    if COMPILED:
        result.notes.append("not guided by coverage: a compiled build is not instrumented")
        return
    module = "tests.proof.guided"
    options = [f"-runs={bound.count}", f"-max_total_time={max(1, int(bound.seconds))}"]
    done = subprocess.run(
        [sys.executable, "-m", module, *options, f"-seed={bound.seed % 2**31 or 1}"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=bound.seconds + 120,
        check=False,
    )
    found = re.search(r"Done (\d+) runs", done.stderr)
    result.add("inputs that coverage guided", int(found[1]) if found else 0)
    edges = re.findall(r"cov: (\d+)", done.stderr)
    result.add("places in the parsers that they reached", int(edges[-1]) if edges else 0)
    if done.returncode:
        result.lose(f"coverage-guided: {done.stderr[-1500:]}")


def run(bound: Bound) -> Result:
    """Frames, messages, handshakes, and what coverage guides."""
    result = Result(
        least=(
            *("mutations of frames", "streams held against another parser"),
            *("messages judged", "handshakes harmed", "of them still right and opened"),
            *(() if COMPILED else ("inputs that coverage guided",)),
        )
    )
    spread(frames, bound.part(bound.count, 0.3 * bound.seconds), result)
    spread(
        messages, bound.part(max(20, bound.count // MESSAGES_SHARE), 0.1 * bound.seconds), result
    )
    guiding = 0.0 if COMPILED else 0.2 * bound.seconds
    some = bound.part(max(50, bound.count // HANDSHAKES_SHARE), bound.left - guiding)
    spread(_shake_hands, some, result)
    guided(bound.part(max(500, bound.count // GUIDED_SHARE), bound.left), result)
    return result


PROOF: Final = Proof(
    "hostile",
    "no frame, message or handshake crashes a parser, is judged otherwise when it is cut, or opens "
    "what it may not; memory stays bounded",
    count=10_000_000,
    seconds=300,
    unit="mutations of frames",
    run=run,
)
