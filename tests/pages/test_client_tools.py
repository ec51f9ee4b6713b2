"""Browser tools: asked for by the agent, run in the page, answered exactly once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOOLS = (Path(__file__).parent / "tools.js").read_text()


@pytest_asyncio.fixture(loop_scope="session")
async def ask(page: Page, gateway: StubGateway) -> Callable[..., Awaitable[list[Any]]]:
    """Let the agent ask for a tool; the contents of the responses that came."""
    await page.evaluate(TOOLS)
    (talk,) = gateway.conversations

    async def asking(tool: str, answers: int = 1, **more: Any) -> list[Any]:
        before = len(talk.arrived) + 1
        wanted = json.dumps({"tool": tool, **more})
        await page.evaluate("(text) => chat.send(text)", wanted)
        await until(lambda: len(talk.arrived) >= before + answers)
        return [frame["content"] for frame in talk.arrived[before:]]

    return asking


async def test_a_tools_value_is_its_result(ask: Any) -> None:
    (answer,) = await ask("add", args={"a": 2, "b": 3, "unit": "m"})
    assert answer == {"id": "t1", "result": 5}
    (answer,) = await ask("nothing")
    assert answer["result"] is None


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"a": 1}, "Missing: b."),
        ({"a": "1", "b": 2}, "a must be of type integer."),
        ({"a": 1, "b": 2.5}, "b must be of type integer or null."),
        ({"a": 1, "b": 2, "unit": "kg"}, "unit must be one of m, s."),
    ],
)
async def test_arguments_that_do_not_fit_the_schema_run_nothing(
    ask: Any, args: dict[str, Any], message: str
) -> None:
    (answer,) = await ask("add", args=args)
    assert answer["result"] == {"error": {"code": "invalid_arguments", "message": message}}


@pytest.mark.parametrize(
    "args",
    [
        {"a": 2.0, "b": 3, "unit": None},
        '{"a": 2, "b": 3}',
        ' {"a": 2, "b": 3, "unit": null}\n',
        {"a": 5, "b": None},
    ],
)
async def test_arguments_are_read_as_models_write_them(ask: Any, args: Any) -> None:
    (answer,) = await ask("add", args=args)
    assert answer["result"] == 5


@pytest.mark.parametrize("args", ["", "null", "{}", None])
async def test_nothing_is_no_arguments(ask: Any, args: Any) -> None:
    (answer,) = await ask("add", args=args)
    error = {"code": "invalid_arguments", "message": "Missing: a, b."}
    assert answer["result"] == {"error": error}


async def test_a_tool_can_say_in_its_own_words_what_went_wrong(ask: Any) -> None:
    (answer,) = await ask("own")
    assert answer["result"] == {
        "error": {"code": "sold_out", "message": "That is sold out, sorry."}
    }


@pytest.mark.parametrize("tool", ["crash", "cyclic"])
async def test_a_crash_is_a_sentence_and_tells_no_inner_workings(ask: Any, tool: str) -> None:
    (answer,) = await ask(tool)
    assert answer["result"]["error"]["code"] == "tool_failed"
    assert "secret" not in json.dumps(answer)


async def test_a_tool_that_takes_too_long_is_answered_for_and_aborted(ask: Any, page: Page) -> None:
    (answer,) = await ask("slow")
    assert answer["result"]["error"]["code"] == "timeout"
    assert await page.evaluate("() => window.aborted") is True


async def test_an_answer_that_is_too_large_is_an_error(ask: Any) -> None:
    (answer,) = await ask("huge")
    assert answer["result"]["error"]["code"] == "result_too_large"


async def test_a_repeated_id_gets_the_same_answer_without_a_second_run(
    ask: Any, page: Page
) -> None:
    answers = await ask("once", answers=2, times=2)
    assert answers == [{"id": "t1", "result": {"run": 1}}] * 2
    assert await page.evaluate("() => runs") == 1


async def test_a_tool_that_the_page_does_not_have_is_left_to_others(ask: Any, page: Page) -> None:
    await ask("unknown", answers=0)
    (answer,) = await ask("nothing")
    assert answer["id"] == "t2"
    assert await page.evaluate("() => activity") == [["nothing", "called"], ["nothing", "answered"]]


async def test_a_request_without_a_channel_is_answered_with_a_null_one(
    ask: Any, gateway: StubGateway
) -> None:
    await ask("nothing")
    (talk,) = gateway.conversations
    assert talk.arrived[-1]["channelId"] is None
