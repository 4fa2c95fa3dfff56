"""Logical messages: those asked for, with their place in the stream, and their bytes."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from producer.lsn import Lsn
from tests.harness import Command, Source

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
ASKED: dict[str, object] = {"message.prefix.include.list": r"audit\..*,plain"}


def messages(command: Command) -> list[Any]:
    """The message topic's records."""
    return list(command.records("message"))


def emit(prefix: str, content: str, *, transactional: bool = True) -> str:
    """The statement that writes one; `content` is SQL."""
    return f"SELECT pg_logical_emit_message({str(transactional).lower()}, '{prefix}', {content})"


def test_a_message_is_an_event_of_its_transaction(source: Source, command: Command) -> None:
    """It takes an ordinal, and stands where it was written; it is counted under Debezium's name."""
    source.execute(TABLE)
    settings = {**ASKED, "provide.transaction.metadata": "true"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    with source.connect() as connection, connection.transaction():
        xid = connection.execute("SELECT txid_current()").fetchone()
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute(emit("audit.login", "'who: \"é\"'").encode())
        connection.execute("INSERT INTO t VALUES (2)")
        connection.execute(emit("plain", "''").encode())
    assert command.run("run", "--once", settings=settings).returncode == 0
    assert xid is not None
    first, second = messages(command)
    rows: list[Any] = list(command.records("public.t"))
    assert (first.key, second.key) == ({"prefix": "audit.login"}, {"prefix": "plain"})
    value = first.value
    assert value["op"] == "m"
    assert value["message"] == {"prefix": "audit.login", "content": 'who: "é"'.encode()}
    assert second.value["message"] == {"prefix": "plain", "content": b""}
    block, row = value["source"], rows[0].value["source"]
    same = ("version", "connector", "name", "ts_ms", "snapshot", "db", "txId", "commit_lsn")
    assert {name: block[name] for name in same} == {name: row[name] for name in same}
    assert block["txId"] == xid[0]
    assert (block["schema"], block["table"]) == ("", "")
    # A message's LSN is its record's end, a row's its record's start.
    assert rows[0].value["source"]["lsn"] < block["lsn"] <= rows[1].value["source"]["lsn"]
    assert block["sequence"].endswith(f'"{block["lsn"]}"]')
    ordinals = [record.value["source"]["ordinal"] for record in (rows[0], first, rows[1], second)]
    assert ordinals == [1, 2, 3, 4]
    places = [tuple(record.value["transaction"].values())[1:] for record in (rows[0], first, rows[1], second)]
    assert places == [(1, 1), (2, 1), (3, 2), (4, 2)]
    begin, end = [record.value for record in command.records("transaction")]
    assert value["transaction"]["id"] == begin["id"] == end["id"]  # type: ignore[index]
    assert end["data_collections"] == [  # type: ignore[index]
        {"data_collection": "public.t", "event_count": 2},
        {"data_collection": "LOGICAL_DECODING_MESSAGE", "event_count": 2},
    ]


def test_a_message_outside_of_any_transaction(source: Source, command: Command) -> None:
    """Its own LSN is its position; it is sent whether its transaction commits or not, and confirmed."""
    source.execute(TABLE)
    settings = {**ASKED, "provide.transaction.metadata": "true"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    with source.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (1)")
        lsn = connection.execute(emit("plain", "'x'", transactional=False).encode()).fetchone()
        connection.execute("ROLLBACK")
    assert command.run("run", "--once", settings=settings).returncode == 0
    (record,) = messages(command)
    assert lsn is not None
    block = record.value["source"]
    assert Lsn.parse(str(lsn[0])) == block["lsn"], "what the function returned"
    assert (block["commit_lsn"], block["ordinal"], block["txId"]) == (block["lsn"], 0, None)
    assert record.value["transaction"] is None
    assert abs(block["ts_ms"] - record.value["ts_ms"]) < 1000
    assert record.value["message"] == {"prefix": "plain", "content": b"x"}
    assert command.records("public.t") == command.records("transaction") == []
    assert command.run("run", "--once", settings=settings).returncode == 0
    assert len(messages(command)) == 1, "what was acked was confirmed"


def test_only_what_is_asked_for_is_carried(source: Source, command: Command) -> None:
    """Expressions for the whole prefix, in any case; the others cost no ordinal; nothing unless asked."""
    source.execute(TABLE)
    assert command.run("run", "--once", settings=ASKED).returncode == 0
    prefixes = ("audit.a", "AUDIT.b", "auditxc", "plain", "plainer", "my plain", "")
    with source.connect() as connection, connection.transaction():
        for prefix in prefixes:
            connection.execute(emit(prefix, "'x'").encode())
        connection.execute("INSERT INTO t VALUES (1)")
    source.execute(*(emit(prefix, "'x'", transactional=False) for prefix in prefixes))
    assert command.run("run", "--once", settings=ASKED).returncode == 0
    found = [(record.key["prefix"], record.value["source"]["ordinal"]) for record in messages(command)]
    carried = ["audit.a", "AUDIT.b", "plain"]
    assert found == [*zip(carried, (1, 2, 3), strict=True), *((prefix, 0) for prefix in carried)]
    (row,) = command.records("public.t")
    assert row.value["source"]["ordinal"] == 4  # type: ignore[index]
    source.execute(emit("plain", "'x'"), emit("plain", "'x'", transactional=False))
    assert command.run("run", "--once").returncode == 0
    assert len(messages(command)) == 6


@pytest.mark.wal2json
@pytest.mark.parametrize("transactional", [True, False])
def test_content_that_is_no_text(source: Source, command: Command, transactional: bool) -> None:
    """Its bytes up to the first NUL, which is all that the plugin prints; what follows is carried."""
    source.execute(TABLE)
    assert command.run("run", "--once", settings=ASKED).returncode == 0
    every = bytes(range(1, 256))
    wanted = [every, b"\xff\xfe", b'\x80"\\\\\n\t\x01{"', b""]
    source.execute(*(emit("plain", f"'\\x{content.hex()}'::bytea", transactional=transactional) for content in wanted))
    source.execute(emit("plain", "'\\xff00ff'::bytea", transactional=transactional), "INSERT INTO t VALUES (1)")
    done = command.run("run", "--once", settings=ASKED)
    assert done.returncode == 0, done.stderr
    assert [record.value["message"]["content"] for record in messages(command)] == [*wanted, b"\xff"]
    assert len(command.records("public.t")) == 1


def test_a_message_after_a_big_transaction_is_sent_once_it_is_read(source: Source, command: Command) -> None:
    """Kill-safe order: what confirms comes behind it, so a restart without an ack sends it again."""
    source.execute(TABLE)
    running = command.start("run", settings=ASKED)
    running.wait_for("streaming")
    source.execute(emit("plain", "'before'", transactional=False), "INSERT INTO t SELECT generate_series(1, 50000)")
    source.execute(emit("plain", "'after'", transactional=False))
    running.process.kill()
    running.process.wait(10)
    assert command.run("run", "--once", settings=ASKED).returncode == 0
    contents = [record.value["message"]["content"] for record in messages(command)]
    assert list(dict.fromkeys(contents)) == [b"before", b"after"]
    assert len({(r.value["source"]["commit_lsn"], r.value["message"]["content"]) for r in messages(command)}) == 2


def test_the_topics_are_made_as_logs_of_one_partition(source: Source, command: Command) -> None:
    """Whatever is asked for the tables' topics."""
    source.execute(TABLE)
    settings = {
        **ASKED, "heartbeat.interval.ms": 60000, "provide.transaction.metadata": "true",
        "topic.creation.default.partitions": 2, "topic.creation.default.cleanup.policy": "compact",
    }  # fmt: skip
    assert command.run("run", "--once", settings=settings).returncode == 0
    found = AdminClient({"bootstrap.servers": command.bootstrap_servers}).list_topics(timeout=10).topics
    prefix = command.prefix
    counts = {name: len(topic.partitions) for name, topic in found.items() if prefix in name}
    assert counts == {
        f"{prefix}.public.t": 2, f"{prefix}.transaction": 1, f"{prefix}.message": 1,
        f"__debezium-heartbeat.{prefix}": 1,
    }  # fmt: skip
