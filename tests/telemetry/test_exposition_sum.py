"""The metrics of several processes as one text."""

from __future__ import annotations

from app.telemetry.exposition_sum import ExpositionSum
from app.telemetry.metrics import Metrics


def value(text: str, series: str) -> float:
    [found] = [line for line in text.splitlines() if line.startswith(series + " ")]
    return float(found.rpartition(" ")[2])


def counted(sessions: int, *, ready: int, places: float | None = None) -> str:
    metrics = Metrics(100)
    metrics.ready.set(ready)
    metrics.sessions_total.labels("echo", "chat", "1000").inc(sessions)
    metrics.session_seconds.observe(sessions)
    metrics.bind(lambda: [("echo", "chat")] * sessions, lambda: 10)
    if places is not None:
        metrics.upstream_places.set(places)
    return metrics.exposition().decode()


def test_one_text_is_left_as_it_is() -> None:
    total, text = ExpositionSum(), counted(3, ready=1)
    total.add(text)
    theirs = [line for line in text.splitlines() if not line.startswith("#")]
    ours = [line for line in total.text().splitlines() if not line.startswith("#")]
    assert ours == theirs


def test_what_is_counted_adds_up_and_states_do_not() -> None:
    total = ExpositionSum()
    total.add(counted(3, ready=1, places=7))
    total.add(counted(4, ready=0))
    text = total.text()
    assert value(text, 'relay_sessions{agent="echo",call_type="chat"}') == 7
    ended = 'relay_sessions_total{agent="echo",call_type="chat",close_code="1000"}'
    assert value(text, ended) == 7
    assert value(text, "relay_session_seconds_count") == 2
    assert value(text, 'relay_session_seconds_bucket{le="5.0"}') == 2
    assert value(text, "relay_session_seconds_sum") == 7
    assert value(text, "relay_outbox_bytes") == 20
    assert value(text, "relay_sessions_limit") == 200
    assert value(text, "relay_ready") == 0
    assert value(text, "relay_upstream_places") == 7, "NaN says that one knows of no bound"
    assert text.count("# TYPE relay_sessions_total ") == 1


def test_a_process_that_has_ended_keeps_what_it_counted_and_nothing_else() -> None:
    total = ExpositionSum()
    total.add(counted(4, ready=1))
    total.add(counted(3, ready=0), ended=True)
    text = total.text()
    ended = 'relay_sessions_total{agent="echo",call_type="chat",close_code="1000"}'
    assert value(text, ended) == 7
    assert value(text, 'relay_sessions{agent="echo",call_type="chat"}') == 4
    assert value(text, "relay_ready") == 1


def test_lines_that_are_no_series_are_left_out() -> None:
    total = ExpositionSum()
    total.add("# INCLUDES 12\nnonsense\n# HELP a A.\n# TYPE a counter\na 1\na x\n")
    assert total.text() == "# HELP a A.\n# TYPE a counter\na 1.0\n"
