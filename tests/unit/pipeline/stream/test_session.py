"""How a session of the stream ends."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any, cast

import pytest

from producer.errors import PostgresUnavailable
from producer.lsn import Lsn
from producer.pipeline.progress import Progress
from producer.pipeline.stream import session
from producer.pipeline.stream.session import StreamSession
from producer.sink.memory import MemorySink
from producer.sink.offsets import Offset, OffsetsTopic
from producer.source import slot
from tests.connector import StillClock, connector

START = Offset(lsn=Lsn(10), slot="s", system_id="1", timeline=1)


class _Stream:
    """One that ends behind a transaction that Kafka has acked, and whose position is not stored yet."""

    def __init__(self, *, lapsed: bool) -> None:
        self.lapsed = lapsed
        self.patience = 0.0

    def timeout_ms(self) -> int:
        return 2000

    def refuse_lapse(self) -> None:
        if self.lapsed:
            raise PostgresUnavailable("we were silent", remedy="")

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: None


class _Loop:
    def __init__(self, *, progress: Progress, ends: bool, **_: object) -> None:
        self._progress = progress
        self._ends = ends

    def run(self) -> None:
        tracker = self._progress.tracker
        tracker.close(tracker.open(), Lsn(20))
        if self._ends:
            raise PostgresUnavailable("the stream is gone", remedy="")

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("ends", [True, False], ids=["with an error", "told to stop"])
@pytest.mark.parametrize("lapsed", [True, False])
def test_who_was_suspended_stores_nothing_more(monkeypatch: pytest.MonkeyPatch, lapsed: bool, ends: bool) -> None:
    """Contract 7: the slot, and with it the position, may be a successor's. Else what Kafka has acked is stored."""
    clock, sink = StillClock(), MemorySink()
    offsets = OffsetsTopic(sink, "offsets", name="n", server="p")
    offsets.ensure()
    monkeypatch.setattr(session, "ReplicationStream", lambda *_: _Stream(lapsed=lapsed))
    monkeypatch.setattr(session, "connect_replication", lambda *_: None)
    monkeypatch.setattr(session, "StreamLoop", lambda **given: _Loop(ends=ends, **given))
    monkeypatch.setattr(slot, "find", lambda *_: None)
    source = SimpleNamespace(
        connection=SimpleNamespace(answer_within=lambda _: None), loaded=None, published=None,
        identity=SimpleNamespace(encoding="UTF8", insert_lsn=Lsn(20)),
    )  # fmt: skip
    tables = SimpleNamespace(chosen=[], logged=list, plans=SimpleNamespace())
    made = StreamSession(
        connector=connector(clock), source=cast("Any", source), tables=cast("Any", tables), sink=sink,
        offsets=offsets, marks=cast("Any", None), once=False, type_names=False, began=lambda: None,
        started=lambda: None,
    )  # fmt: skip
    with pytest.raises(PostgresUnavailable) if lapsed or ends else contextlib.nullcontext():
        made._read(Progress(offsets, START, clock), [])
    stored = offsets.load(1).offset
    assert (stored is None) is lapsed
