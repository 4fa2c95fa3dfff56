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
