"""client.js is told by `relay.history` what was said in a chat that it joins."""

# ruff: noqa: E501 - lines of the scripts that run in the page
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

# `before` and `after` are contents of texts; before and between them the page is told `known` and `told`.
ADOPT = """async ({ known = [], before = [], told, after = [] }) => {
    const { Turns } = await import('/client/turns.js');
    const shown = new Map(); // what a page shows: id → text
    const turns = new Turns(60, (type, detail) => {
        const turn = detail.turn ?? detail;
        if (type === 'withdrawn') shown.delete(turn.id);
        else shown.set(turn.id, turn.text);
    });
    const at = (n) => new Date(Date.now() + n * 1000).toISOString();
    const turn = ([source, text], n) => ({ source, text, at: at(n) });
    if (known.length) for (const one of turns.adopt(known.map(turn))) shown.set(one.id, one.text);
    for (const [source, text, type] of before) turns.said({ content: { source, text, type } });
    const missed = turns.adopt(told.map(turn));
    for (const one of missed) shown.set(one.id, one.text);
    for (const [source, text, type] of after) turns.said({ content: { source, text, type } });
    turns.finish();
    return {
        missed: missed.map(({ text }) => text),
        list: turns.list.map(({ source, text }) => [source, text]),
        final: turns.list.every((one) => one.final && one.endedAt >= one.startedAt),
        ids: turns.list.map(({ id }) => id),
        count: turns.count,
        shown: [...shown.values()],
    };
}"""
USER, AGENT = "user", "assistant"
A, B, C = (USER, "Where is it?"), (AGENT, "On its way."), (USER, "When?")


async def adopt(page: Page, **given: Any) -> dict[str, Any]:
    got: dict[str, Any] = await page.evaluate(ADOPT, given)
    assert got["final"]
    assert len(set(got["ids"])) == len(got["list"])
    assert got["ids"] == sorted(got["ids"])
    texts = [text for _, text in got["list"]]
    least = min(len(texts), len(got["shown"]))
    assert got["shown"][-least:] == texts[-least:]
    return got


async def test_history_of_a_chat_that_is_new_here_is_all_of_it(page: Page) -> None:
    got = await adopt(page, told=[A, B], after=[C])
    assert got["list"] == [list(one) for one in (A, B, C)]
    assert got["count"] == 3


KNOWN = [
    ([A, B], [A, B], []),
    ([A, B], [A, B, C], [C]),
    ([A, B], [A, B, C, B], [C, B]),  # the last turn here was said once more since
    ([B], [B, C, B], [C, B]),
    ([A, B, A, B], [B, A, B, C], [C]),  # the gateway keeps the latest turns only
    ([A, B, C, A, B], [A, B, C, A, B, C, A, B], [C, A, B]),
    ([A], [], []),
]


async def test_turns_that_are_known_are_not_added_again(page: Page) -> None:
    for known, told, missed in KNOWN:
        got = await adopt(page, known=known, told=told)
        assert got["missed"] == [text for _, text in missed]
        assert got["list"] == [list(one) for one in [*known, *missed]]
        assert got["count"] == len(known) + len(missed)


OPEN = [
    [(AGENT, "On", "potential")],  # partial texts alone
    [(AGENT, "On its", None)],  # a turn that is not whole
    [(AGENT, "On its", None), (AGENT, " way", "potential")],
    [(AGENT, "On its", None), (USER, "Wh", "potential"), ("other", "mm", "potential")],
]


async def test_turn_that_is_open_when_history_comes_is_not_doubled(page: Page) -> None:
    after = [(USER, "Wh", "potential"), C, (AGENT, "To", "potential"), (AGENT, "Today.", None)]
    for known in ([], [A]):
        for before in OPEN:
            got = await adopt(page, known=known, before=before, told=[A, B], after=after)
            assert got["list"] == [list(one) for one in (A, B, C, (AGENT, "Today."))]
            assert got["count"] == 4
            assert len(got["shown"]) == 4


async def test_list_stays_bounded_and_the_count_goes_on(page: Page) -> None:
    known = [(USER, f"turn {number}") for number in range(900)]
    told = [(USER, f"turn {number}") for number in range(800, 1200)]
    got = await adopt(page, known=known, told=told)
    assert got["missed"] == [f"turn {number}" for number in range(900, 1200)]
    assert got["count"] == 1200
    assert got["list"] == [["user", f"turn {number}"] for number in range(200, 1200)]
