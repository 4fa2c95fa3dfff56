"""A stream without a server: what its end and its notices mean, and when it may not be ours any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from psycopg.pq import ExecStatus

from producer.errors import PostgresUnavailable, PublicationLost, SlotLost
from producer.lsn import Lsn
from producer.source.replication import ReplicationStream
from producer.source.wire import Server
from tests.connector import StillClock

WORDS = "Publikation »p« existiert nicht"


def _said(state: str) -> Any:
    fields = {ord("C"): state.encode(), ord("M"): WORDS.encode(), ord("W"): None}
    return SimpleNamespace(status=ExecStatus.FATAL_ERROR, error_message=WORDS.encode(), error_field=fields.get)


def _stream(result: Any, clock: StillClock | None = None) -> tuple[ReplicationStream, Any]:
    pgconn = SimpleNamespace(
        get_copy_data=None, get_result=lambda: result, notice_handler=None, put_copy_data=lambda _: None,
        flush=lambda: 0, exec_=lambda _: result,
    )  # fmt: skip
    server = Server(host="h", port=1, user="u", dbname="d", application_name="a")
    connection = cast("Any", SimpleNamespace(pgconn=pgconn, connection=None))
    return ReplicationStream(connection, server, clock or StillClock()), pgconn


def test_a_stream_that_ends_for_want_of_a_publication() -> None:
    """Before PostgreSQL 18; in English the words alone tell it from a slot that is not there."""
    stream, _ = _stream(_said("42704"))
    error = stream.ended()
    assert isinstance(error, PublicationLost)
    assert WORDS in error.message


def test_a_stream_that_cannot_begin_for_want_of_its_slot() -> None:
    stream, _ = _stream(_said("42704"))
    with pytest.raises(SlotLost, match=WORDS) as caught:
        stream.start("s", Lsn(1), {})
    assert not isinstance(caught.value, PublicationLost)


def test_a_notice_comes_with_its_code() -> None:
    stream, pgconn = _stream(None)
    heard: list[tuple[str, str]] = []
    stream.on_notice(lambda state, text: heard.append((state, text)))
    pgconn.notice_handler(_said("55000"))
    assert heard == [("55000", WORDS)]


def test_who_was_silent_too_long_is_not_heard_again() -> None:
    """Contract 7: whatever was said since: the server may have given the slot to another before that."""
    clock = StillClock()
    stream, _ = _stream(None, clock)
    clock.now += 100
    # A server without a timeout waits for ever.
    stream.refuse_lapse()
    stream.confirm(Lsn(1))
    stream.patience = 2
    clock.now += 2
    stream.refuse_lapse()
    clock.now += 1
    stream.confirm(Lsn(2))
    assert stream.lapsed
    with pytest.raises(PostgresUnavailable, match="silent for 3 s"):
        stream.refuse_lapse()


class _Ending:
    """A session whose stream ends behind some messages, each answer at a second's tenth."""

    def __init__(self, clock: StillClock, sizes: list[int], busy: int) -> None:
        self.pgconn, self.closed = self, False
        self.said: list[str] = []
        self._clock, self._sizes, self._busy = clock, sizes, busy

    def get_copy_data(self, _: int) -> tuple[int, memoryview]:
        self._clock.now += 0.1
        size = self._sizes.pop(0) if self._sizes else 0
        self.said.append("got" if size > 0 else "end" if size < 0 else "nothing")
        return size, memoryview(b"")

    def is_busy(self) -> int:
        self._clock.now += 0.1
        self._busy -= 1
        return int(self._busy >= 0)

    def put_copy_end(self) -> None:
        self.said.append("told")

    def flush(self) -> int:
        return 0

    def consume_input(self) -> None:
        pass

    def close(self) -> None:
        self.said.append("closed")


def _closed(monkeypatch: pytest.MonkeyPatch, sizes: list[int], busy: int) -> tuple[list[str], float]:
    """What a session saw of its end, and how long that took."""
    clock = StillClock()
    session = _Ending(clock, sizes, busy)
    server = Server(host="h", port=1, user="u", dbname="d", application_name="a")
    stream = ReplicationStream(cast("Any", session), server, clock)
    monkeypatch.setattr(stream, "wait", lambda _: session.said.append("waited"))
    began = clock.now
    stream.close()
    return session.said, clock.now - began


def test_an_end_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes then is passed over; the server leaves the slot, then says that the stream has ended."""
    said, _ = _closed(monkeypatch, [5, 0, 7, -1], busy=1)
    assert said == ["told", "got", "nothing", "waited", "got", "end", "waited", "closed"]


@pytest.mark.parametrize(("sizes", "busy"), [([], 0), ([5] * 100, 0), ([-1], 100)])
def test_an_end_is_waited_for_a_moment_only(monkeypatch: pytest.MonkeyPatch, sizes: list[int], busy: int) -> None:
    """A server that is frozen, that sends on, that does not say that it has ended."""
    said, seconds = _closed(monkeypatch, sizes, busy)
    assert said[-1] == "closed"
    assert seconds < 1.5
