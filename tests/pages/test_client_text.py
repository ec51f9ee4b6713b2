"""How the pieces of a turn become one text."""

# ruff: noqa: E501 - lines of the scripts that run in the page
from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.partial_streams import finals, stream

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOIN = """async (pieces) => {
    const { Joiner } = await import('/client/text.js');
    const joiner = new Joiner();
    for (const piece of pieces) joiner.add(piece);
    return joiner.text;
}"""


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["Good", "morning", ",", "all", "."], "Good morning, all."),
        (["unbel", "ievable", " token"], "unbelievable token"),
        (["With ", "spac", "es.", "Another one"], "With spaces. Another one"),
        (["你好", "，我", "是", "客服"], "你好，我是客服"),  # noqa: RUF001
        (["第", "3", "章", "。", "次"], "第3章。次"),
        (["こんにちは", "。", "元気"], "こんにちは。元気"),
        (["カタ", "カナー", "「", "はい", "」"], "カタカナー「はい」"),
        (["สวัสดี", "ครับ"], "สวัสดีครับ"),
        (["ສະ", "ບາຍດີ"], "ສະບາຍດີ"),
        (["안녕하세요", "고객님"], "안녕하세요 고객님"),
        (["مرحبا", "بك", "؟", "نعم"], "مرحبا بك؟ نعم"),
        ([" help@example", ".", "com"], " help@example.com"),
        (["See ", "example.", "com/path"], "See example.com/path"),
        (["See", "example.", "com/path"], "See example.com/path"),
        (["at", "https://a.example/", "b?c=", "1", "now"], "at https://a.example/b?c=1 now"),
        ([" U.", "S. Army"], " U.S. Army"),
        (["the ", "U.", "S."], "the U.S."),
        (["don", "'t", "we", "’ll"], "don't we’ll"),  # noqa: RUF001
        (["(", "yes", ")", "[", "no", "]"], "(yes) [no]"),
        (["he", "said", '"', "no", '"', "twice"], 'he said "no" twice'),
        (["Version", "3.", "5", "or", "1,", "000"], "Version 3.5 or 1,000"),
        (["order", "A-", "1001"], "order A-1001"),
        (["order", "A", "-1001"], "order A-1001"),
        (["It costs", "$", "5", "%"], "It costs $5%"),
        (["Dr.", "Smith", "is in."], "Dr. Smith is in."),
        (["a\n", "\nb"], "a\n\nb"),
        (["Hello", ",", " you", "!"], "Hello, you!"),
        (["cafe", "\u0301"], "cafe\u0301"),
        (["Hi", "👋", "there"], "Hi 👋 there"),
        (["", "one", "", "two"], "one two"),
    ],
)
async def test_pieces_are_joined_as_their_script_is_written(
    page: Page, pieces: list[str], text: str
) -> None:
    assert await page.evaluate(JOIN, pieces) == text


async def test_time_for_a_turn_grows_with_its_length_only(page: Page) -> None:
    took = await page.evaluate("""async () => {
        const { Joiner } = await import('/client/text.js');
        const time = (count, last) => {
            const started = performance.now();
            const joiner = new Joiner();
            for (let at = 0; at < count; at += 1) joiner.add(`word${at}`);
            joiner.add(last);
            return [performance.now() - started, joiner.text.length > count];
        };
        time(2000, 'x');
        return [time(20_000, 'x'), time(20_000, ' late')];
    }""")
    # All pieces anew for each would be 200 million: minutes.
    assert [long for _, long in took] == [True, True]
    assert max(seconds for seconds, _ in took) < 4000


async def test_text_that_is_not_final_is_replaced_by_what_comes_next(page: Page) -> None:
    got = await page.evaluate("""async () => {
        const { Turns } = await import('/client/turns.js');
        const seen = [];
        const turns = new Turns(1, (type, { text, turn }) => seen.push([type, turn?.text ?? text]));
        const say = (text, type, source = 'user') => turns.said({ content: { source, text, type } });
        say('I', 'potential');
        say('I want', 'potential');
        say('I want it.');
        say('Of', 'potential', 'assistant');
        say('Of course.', undefined, 'assistant');
        turns.finish();
        return [seen, turns.list.map((turn) => turn.pieces)];
    }""")
    assert got == [
        [
            ["text", "I"],
            ["text", "I want"],
            ["text", "I want it."],
            ["turn", "I want it."],
            ["text", "Of"],
            ["text", "Of course."],
            ["turn", "Of course."],
        ],
        [["I want it."], ["Of course."]],
    ]


REPLAY = """async (json) => {
    const { Turns } = await import('/client/turns.js');
    const replay = (contents) => {
        const shown = new Map(); // what a page shows: id → text
        const withdrawn = [];
        const turns = new Turns(60, (type, detail) => {
            if (type === 'withdrawn') withdrawn.push(detail.final) && shown.delete(detail.id);
            else shown.set((detail.turn ?? detail).id, (detail.turn ?? detail).text);
        });
        for (const content of contents) turns.said({ content });
        turns.finish();
        return {
            list: turns.list.map(({ source, text, pieces, final }) => ({ source, text, pieces, final })),
            page: turns.list.map(({ id }) => shown.get(id)),
            shown: shown.size,
            withdrawn,
        };
    };
    return JSON.stringify(JSON.parse(json).map(([contents, finals]) => [replay(contents), replay(finals).list]));
}"""


async def test_ten_thousand_streams_of_partial_texts_end_with_exactly_their_final_texts(
    page: Page,
) -> None:
    withdrawn = 0
    for begin in range(0, 10_000, 1000):
        streams = [stream(seed) for seed in range(begin, begin + 1000)]
        told = json.dumps([[one, finals(one)] for one in streams])
        got = json.loads(await page.evaluate(REPLAY, told))
        for seed, (contents, (replayed, without)) in enumerate(
            zip(streams, got, strict=True), begin
        ):
            turns = replayed["list"]
            assert turns == without, seed  # partial texts change neither texts nor turns
            said = [(turn["source"], piece) for turn in turns for piece in turn["pieces"]]
            wanted = [(one.get("source", "assistant"), one["text"]) for one in finals(contents)]
            assert said == wanted, seed
            assert all(turn["final"] for turn in turns), seed
            # The page shows each turn once, as it was said in the end, and nothing beside them.
            assert replayed["page"] == [turn["text"] for turn in turns], seed
            assert replayed["shown"] == len(turns), seed
            assert not any(replayed["withdrawn"]), seed
            withdrawn += len(replayed["withdrawn"])
    assert withdrawn > 1000  # the streams hold partial texts without a final one


async def test_a_partial_text_grows_beside_the_turn_of_another_and_ends_none(page: Page) -> None:
    got = await page.evaluate("""async () => {
        const { Turns } = await import('/client/turns.js');
        const seen = [];
        const turns = new Turns(60, (type, detail) => {
            const { id, text, final } = detail.turn ?? detail;
            seen.push([type, id, text, final]);
        });
        const say = (source, text, type) => turns.said({ content: { source, text, type } });
        say('assistant', 'Your parcel');
        say('user', 'uh', 'potential');
        say('assistant', ' comes tomorrow.');
        say('assistant', ' And', 'potential');
        const kept = turns.snapshot(10).map(({ text }) => text);
        say('user', 'uh huh', 'potential');
        say('user', 'Thanks.');
        return [seen, kept];
    }""")
    assert got == [
        [
            ["text", 1, "Your parcel", True],
            ["text", 2, "uh", False],
            ["text", 1, "Your parcel comes tomorrow.", True],
            ["text", 1, "Your parcel comes tomorrow. And", False],
            ["text", 2, "uh huh", False],
            ["turn", 1, "Your parcel comes tomorrow.", True],
            ["text", 2, "Thanks.", True],
            ["turn", 2, "Thanks.", True],
        ],
        ["Your parcel comes tomorrow."],
    ]
