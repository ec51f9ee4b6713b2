"""Random streams of `text` contents: partial texts, their final texts, one without the other."""

from __future__ import annotations

import random
from typing import Any

WORDS = ("one", "two,", "three.", "Four", "пять", "六", "seven?", "A-1001", '"eight"', "9")
SOURCES = ("user", "assistant", None, "supervisor")


def stream(seed: int) -> list[dict[str, Any]]:
    """The contents of one conversation's `text` frames, those of several sources interleaved."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    queues = [_utterances(chance, source) for source in SOURCES]
    found = []
    while any(queues):
        queue = chance.choice([queue for queue in queues if queue])
        take = chance.randint(1, 4)
        found += queue[:take]
        del queue[:take]
    return found


def finals(contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are speech."""
    return [content for content in contents if content.get("type") != "potential"]


def _utterances(chance: random.Random, source: str | None) -> list[dict[str, Any]]:
    found = []
    for _ in range(chance.randint(0, 3)):
        words = chance.choices(WORDS, k=chance.randint(1, 5))
        kind = chance.choices(("both", "final", "partial", "twice"), (6, 2, 2, 1))[0]
        if kind != "final":
            ends = sorted(chance.choices(range(1, len(words) + 1), k=chance.randint(1, 3)))
            found += [_content(source, " ".join(words[:end]), "potential") for end in ends]
        if kind != "partial":
            if chance.random() < 0.4:  # a final text that differs from the last partial one
                words[-1] = "otherwise"
            found += [_content(source, " ".join(words))] * (2 if kind == "twice" else 1)
    return found


def _content(source: str | None, text: str, kind: str | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"text": text}
    if source is not None:
        content["source"] = source
    if kind is not None:
        content["type"] = kind
    return content
