"""What the server says of a stream: understood by its code, whatever language its words are in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from psycopg.pq import ExecStatus

from producer.errors import PublicationLost
from producer.source.replication import ReplicationStream
from producer.source.wire import Server
from tests.connector import StillClock

WORDS = "Publikation »p« existiert nicht"


def _said(state: str) -> Any:
    fields = {ord("C"): state.encode(), ord("M"): WORDS.encode(), ord("W"): None}
    return SimpleNamespace(status=ExecStatus.FATAL_ERROR, error_message=WORDS.encode(), error_field=fields.get)


def _stream(result: Any) -> tuple[ReplicationStream, Any]:
    pgconn = SimpleNamespace(get_copy_data=None, get_result=lambda: result, notice_handler=None)
    server = Server(host="h", port=1, user="u", dbname="d", application_name="a")
    return ReplicationStream(cast("Any", SimpleNamespace(pgconn=pgconn)), server, StillClock()), pgconn


def test_a_stream_that_ends_for_want_of_a_publication() -> None:
    """Before PostgreSQL 18; in English the words alone tell it from a slot that is not there."""
    stream, _ = _stream(_said("42704"))
    error = stream.ended()
    assert isinstance(error, PublicationLost)
    assert WORDS in error.message


def test_a_notice_comes_with_its_code() -> None:
    stream, pgconn = _stream(None)
    heard: list[tuple[str, str]] = []
    stream.on_notice(lambda state, text: heard.append((state, text)))
    pgconn.notice_handler(_said("55000"))
    assert heard == [("55000", WORDS)]
