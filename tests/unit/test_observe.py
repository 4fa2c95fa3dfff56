"""Progress as log lines: now and then, with what is left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from producer import observe


class StepClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def time_us(self) -> int:
        return int(self.now * 1_000_000)

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def json_lines() -> Iterator[None]:
    """Every line is a document; afterwards as it was."""
    observe.configure("info", "json")
    yield
    observe.configure("info", "text")


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_snapshot_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows, rate, time left; how many tables of how many."""
    clock = StepClock()
    lines = observe.SnapshotLines(clock, 2)
    lines.begin("public.t", 1000, 0, 1)
    lines.advance("public.t", 100)
    clock.now += 10
    lines.advance("public.t", 400)
    lines.finish("public.t")
    lines.close()
    begins, goes_on, read = told(capsys)
    assert begins["expected_rows"] == 1000
    assert (goes_on["rows"], goes_on["rows_per_second"], goes_on["seconds_left"]) == (500, 50, 10)
    assert (read["rows"], read["tables_read"], read["tables"]) == (500, 1, 2)


def test_a_table_that_another_session_has_begun(capsys: pytest.CaptureFixture[str]) -> None:
    """It goes on, and ends, without a beginning."""
    for told_of in ("chunks", "advance", "finish"):
        lines = observe.SnapshotLines(StepClock())
        if told_of == "chunks":
            lines.chunks("public.t", 1)
        if told_of == "advance":
            lines.advance("public.t", 7)
        lines.finish("public.t")
    assert [line["rows"] for line in told(capsys)] == [0, 7, 0]


def test_a_backlog_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes left and time left, not more often than every few seconds; nothing once it is read."""
    clock = StepClock()
    backlog = observe.Backlog(clock, 1000, 11000)
    backlog.at(1500)
    clock.now += 10
    backlog.at(6000)
    backlog.at(6100)
    backlog.at(11000)
    clock.now += 10
    backlog.at(12000)
    backlog.close()
    (line,) = told(capsys)
    assert line["event"] == "catching up"
    assert (line["bytes_left"], line["bytes_per_second"], line["seconds_left"]) == (5000, 500, 10)


def test_a_wait_is_told_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that blocks says so; a quick one says nothing."""
    with observe.waiting("nothing"):
        pass
    assert told(capsys) == []
    monkeypatch.setattr(observe, "_REPORT_SECONDS", 0.05)
    lines: list[dict[str, object]] = []
    deadline = time.monotonic() + 10
    with observe.waiting("the slot is made", slot="s"):
        while not lines and time.monotonic() < deadline:
            lines = told(capsys)
    assert lines[0]["event"] == "waiting: the slot is made"
    assert lines[0]["slot"] == "s"
