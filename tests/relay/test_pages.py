"""A chat with several pages: each hears everything, counts for itself, and harms no other."""

from __future__ import annotations

import json
from time import time
from typing import TYPE_CHECKING, Any

import pytest

from app.relay.page import PageRequest
from tests.protocol.rules import answers, asks, chat, frame
from tests.relay.stage import Stage, text
from tests.support.memory import MemorySocket
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.relay.page import Page

TERMINATE = {"type": "terminate", "timestamp": "t"}


def kept(**given: Any) -> Stage:
    """A chat that outlives its page."""
    return Stage(**{"chat_keep": 30.0, **given})


def joined(stage: Stage, socket: MemorySocket | None = None, **request: Any) -> MemorySocket:
    """One more page."""
    later = socket or MemorySocket()
    assert stage.relay.pages is not None
    stage.relay.pages.join(later, PageRequest("subject-1", **request))
    return later


def page_of(stage: Stage, number: int = 0) -> Page:
    assert stage.relay.pages is not None
    return stage.relay.pages.joined[number]


def said(source: str, words: str) -> bytes:
    return frame("text", content={"source": source, "text": words})


def texts(socket: MemorySocket) -> list[str]:
    return [one["content"]["text"] for one in socket.frames if one["type"] == "text"]


def turns(socket: MemorySocket) -> list[tuple[str, str]]:
    (told,) = [one["data"] for one in socket.frames if one.get("name") == "relay.history"]
    return [(turn["source"], turn["text"]) for turn in told["turns"]]


async def test_joined_page_gets_session_and_history_first_and_then_what_happens() -> None:
    async with kept() as stage:
        await stage.live()
        stage.vendor.say(said("assistant", "Hello."), said("user", "Hi"), said("user", "there"))
        page = joined(stage)
        assert page.kinds == ["relay.session", "relay.history"]
        assert page.frames[0]["data"]["keep"] == 30.0
        assert turns(page) == [("assistant", "Hello."), ("user", "Hi"), ("user", "there")]
        stage.vendor.say(said("assistant", "How are you?"))
        assert texts(page) == ["How are you?"]
        assert texts(stage.browser)[-1] == "How are you?"


async def test_each_page_speaks_to_the_agent_and_is_refused_alone() -> None:
    async with kept() as stage:
        await stage.live()
        page = joined(stage)
        page.say(frame("initialize", request={"callType": "chat"}), chat("from the second"))
        stage.browser.say(chat("from the first"))
        assert stage.vendor.sent[1:] == [chat("from the second"), chat("from the first")]
        before = list(stage.browser.sent)
        page.say(b"no json")
        assert page.frames[-1]["data"]["code"] == 4400
        assert stage.browser.sent == before
        page.say(b"no json", b"nor this")
        assert page.code == 4400
        stage.vendor.say(text("go on"))
        assert texts(stage.browser) == ["go on"]
        assert not stage.done


async def test_each_page_counts_acknowledges_and_resumes_for_itself() -> None:
    async with kept() as stage:
        await stage.live()
        stage.vendor.say(text("one"))
        page = joined(stage)
        page.say(frame("initialize", request={}), chat("mine"))
        stage.vendor.say(text("two"), text("three"))
        page.say({"type": "relay.received", "count": 1})
        stage.browser.say({"type": "relay.received", "count": 3})
        token = page.frames[0]["data"]["resume"]["token"]
        assert token != stage.browser.frames[0]["data"]["resume"]["token"]
        page.drop()
        stage.vendor.say(text("four"))
        again = MemorySocket()
        page_of(stage).resume(again, 1)
        assert again.frames[0]["data"] == {"replayed": 2, "received": 2}
        assert again.numbered == [text("three"), text("four")]
        stage.browser.drop()
        stage.vendor.say(text("five"))
        back = stage.back(received=3)
        assert back.frames[0]["data"] == {"replayed": 3, "received": 0}
        assert back.numbered == [text("three"), text("four"), text("five")]
        assert texts(again) == ["three", "four", "five"]


async def test_chat_goes_on_without_its_first_page_and_ends_after_the_last() -> None:
    async with kept(resume_window=0.05, chat_keep=0.1) as stage:
        await stage.live()
        page = joined(stage)
        stage.browser.drop()
        await until(lambda: stage.relay.pages is not None and stage.relay.pages.first_is_gone)
        stage.vendor.say(text("still here"))
        assert texts(page) == ["still here"]
        assert not stage.done
        page.drop()
        await stage.over()
        assert stage.vendor.kinds[-1] == "terminate"


async def test_chat_without_any_page_is_kept_and_joined_later() -> None:
    async with kept(resume_window=0.05, idle_timeout=0.3) as stage:
        await stage.live()
        stage.browser.drop()
        await until(lambda: stage.relay.pages is not None and stage.relay.pages.first_is_gone)
        await until(lambda: stage.relay.idle_for > 0.4)
        stage.vendor.say(text("x" * 2000), text("y" * 4000), text("said to nobody"))
        assert stage.vendor.reading
        assert not stage.done
        page = joined(stage)
        assert turns(page)[-1][1].endswith("said to nobody")
        page.say(frame("initialize", request={}), chat("back"))
        assert stage.vendor.sent[-1] == chat("back")


async def test_without_the_setting_the_window_ends_it() -> None:
    async with Stage(resume_window=0.05) as stage:
        await stage.live()
        assert stage.relay.pages is None
        assert "keep" not in stage.browser.frames[0]["data"]
        stage.browser.drop()
        await stage.over()


async def test_page_that_reads_slowly_is_cut_and_harms_no_other() -> None:
    async with kept(outbox=100_000, resume_buffer=1 << 20) as stage:
        await stage.live()
        slow = joined(stage, MemorySocket(holds=True))
        for number in range(12):
            stage.vendor.say(text(str(number) * 10_000))
            assert stage.vendor.reading
        assert slow.code == 4508
        assert len(texts(stage.browser)) == 12
        assert stage.browser.ended is None
        again = MemorySocket()
        page_of(stage).resume(again, 0)
        assert len(texts(again)) == 12


async def test_first_page_that_reads_slowly_is_cut_and_harms_no_other() -> None:
    async with kept(outbox=100_000, browser=MemorySocket(holds=True)) as stage:
        await stage.live()
        page = joined(stage)
        for number in range(12):
            stage.vendor.say(text(str(number) * 10_000))
        assert stage.browser.code == 4508
        assert stage.vendor.reading
        assert len(texts(page)) == 12


async def test_upstream_waits_only_while_every_page_reads_slowly() -> None:
    async with kept(browser=MemorySocket(holds=True)) as stage:
        await stage.live()
        page = joined(stage)
        stage.vendor.say(text("x" * 70_000))
        assert [stage.vendor.reading] == [True]
        page.drop()
        assert [stage.vendor.reading] == [False]
        stage.browser.read_on()
        assert [stage.vendor.reading] == [True]


async def test_page_that_is_away_with_a_full_buffer_is_let_go() -> None:
    async with kept(resume_buffer=1024) as stage:
        await stage.live()
        page = joined(stage)
        stage.browser.drop()
        page.say(frame("initialize", request={}))
        for _ in range(5):
            stage.vendor.say(text("x" * 400))
        assert stage.vendor.reading
        assert len(texts(page)) == 5
        assert stage.relay.session.outgoing.size == 0
        assert stage.back(received=1).code == 4410
        assert not stage.done


async def test_number_of_pages_is_bounded_and_pages_that_are_away_give_way() -> None:
    async with kept(chat_pages=2) as stage:
        await stage.live()
        page = joined(stage)
        refused = joined(stage)
        assert refused.code == 4429
        assert refused.frames[-1]["data"]["retryAfter"] >= 5
        page.drop()
        assert joined(stage).ended is None
        stage.browser.drop()
        assert joined(stage).ended is None
        assert stage.relay.pages is not None
        assert stage.relay.pages.first_is_gone


async def test_tool_request_goes_to_the_most_recently_active_page_alone() -> None:
    async with kept() as stage:
        await stage.live()
        page = joined(stage)
        stage.browser.say(chat("I am here"))
        stage.vendor.say(asks("1", "show"))
        assert stage.browser.sent[-1] == asks("1", "show")
        assert asks("1", "show") not in page.sent
        page.say(chat("now here"))
        stage.browser.say({"type": "relay.received", "count": 1})
        stage.vendor.say(asks("2", "show"))
        assert page.sent[-1] == asks("2", "show")
        assert asks("2", "show") not in stage.browser.sent
        page.say(answers("2"))
        stage.browser.say(answers("1"))
        assert stage.vendor.sent[-2:] == [answers("2"), answers("1")]


async def test_tool_request_of_a_page_that_is_lost_goes_to_another() -> None:
    async with kept() as stage:
        await stage.live()
        page = joined(stage)
        stage.vendor.say(asks("1", "show"))
        assert page.sent[-1] == asks("1", "show")
        page.drop()
        assert stage.browser.sent[-1] == asks("1", "show")
        stage.browser.say(answers("1"))
        assert stage.vendor.sent[-1] == answers("1")
        again = MemorySocket()
        page_of(stage).resume(again, 1)
        assert again.numbered == []
        sent = len(stage.vendor.sent)
        again.say(answers("1"))
        assert len(stage.vendor.sent) == sent
        assert again.ended is None


async def test_tool_request_waits_for_a_page_while_nobody_is_there() -> None:
    async with kept(resume_window=0.05) as stage:
        await stage.live()
        stage.browser.drop()
        await until(lambda: stage.relay.pages is not None and stage.relay.pages.first_is_gone)
        stage.vendor.say(asks("1", "show"))
        page = joined(stage)
        assert page.numbered == [asks("1", "show")]
        page.drop()
        again = MemorySocket()
        page_of(stage).resume(again, 1)
        assert again.numbered == [asks("1", "show")], "had, and not answered"
        again.say(answers("1"))
        assert stage.vendor.sent[-1] == answers("1")


@pytest.mark.parametrize("by", ["first", "joined"])
async def test_terminate_by_one_page_ends_it_for_all(by: str) -> None:
    async with kept() as stage:
        await stage.live()
        page = joined(stage)
        (stage.browser if by == "first" else page).say(TERMINATE)
        assert stage.vendor.kinds[-1] == "terminate"
        (page if by == "first" else stage.browser).say(chat("too late"))
        assert stage.vendor.kinds[-1] == "terminate"
        stage.vendor.leave()
        await stage.over()
        assert [stage.browser.code, page.code] == [1000, 1000]


async def test_page_that_is_away_comes_back_for_the_end() -> None:
    async with kept() as stage:
        await stage.live()
        page = joined(stage)
        page.drop()
        stage.vendor.say(text("bye"), frame("conversationResult", result={}))
        stage.vendor.leave()
        await until(lambda: stage.browser.code == 1000)
        again = MemorySocket()
        page_of(stage).resume(again, 0)
        assert again.kinds == ["relay.resumed", "text", "conversationResult"]
        assert again.code == 1000
        await stage.over()


async def test_page_that_joins_before_upstream_answers_loses_nothing() -> None:
    async with kept() as stage:
        await until(lambda: stage.relay.pages is not None)
        page = joined(stage)
        page.say(frame("initialize", request={}), chat("early"))
        assert stage.vendor.sent == []
        await stage.live()
        assert stage.vendor.kinds[0] == "initialize"
        assert stage.vendor.sent[1:] == [chat("early")]
        assert page.kinds[-1] == "connection"


async def test_page_whose_credential_expires_is_cut_alone() -> None:
    async with kept() as stage:
        await stage.live()
        page = joined(stage, expires_at=time() + 0.1)
        await until(lambda: page.code == 4401)
        stage.vendor.say(text("go on"))
        assert texts(stage.browser) == ["go on"]
        assert not stage.done


async def test_broken_bytes_of_one_page_end_that_page_alone() -> None:
    async with kept() as stage:
        await stage.live()
        page = joined(stage)
        stage.browser.break_off(1007)
        stage.vendor.say(text("go on"))
        assert texts(page) == ["go on"]
        another = joined(stage)
        page.break_off(1009)
        stage.vendor.say(text("and on"))
        assert texts(another) == ["and on"]
        assert not stage.done


async def test_slow_vendor_stops_every_page() -> None:
    async with kept() as stage:
        await stage.live()
        page = joined(stage)
        stage.relay.upstream.pause_writing()
        assert [stage.browser.reading, page.reading] == [False, False]
        assert not joined(stage).reading
        stage.relay.upstream.resume_writing()
        assert [stage.browser.reading, page.reading] == [True, True]


async def test_history_is_bounded_and_holds_no_partial_texts() -> None:
    async with kept(chat_history=1024) as stage:
        await stage.live()
        for number in range(300):
            stage.vendor.say(said("user", f"message {number}"))
        partial = {"source": "user", "type": "potential", "text": "not final"}
        stage.vendor.say(json.dumps({"type": "text", "content": partial}).encode())
        held = turns(joined(stage))
        assert held[-1] == ("user", "message 299")
        assert 40 < len(held) <= 200
        assert sum(len(words) for _, words in held) <= 1024
        stage.vendor.say(said("user", "ü" * 4000))
        ((_, words),) = turns(joined(stage))
        assert words == "ü" * 512
