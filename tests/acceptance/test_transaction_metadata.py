"""Transaction metadata: BEGIN, the block of every event, END; one id, and counts that agree."""

from __future__ import annotations

import json
from typing import Any

from tests.harness import Command, Source, wait_for

ON: dict[str, object] = {"provide.transaction.metadata": "true"}
TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def boundaries(command: Command) -> list[Any]:
    """The transaction topic's values; each key says the same id."""
    records: list[Any] = command.records("transaction")
    assert all(record.key == {"id": record.value["id"]} for record in records)
    return [record.value for record in records]


def blocks(command: Command, table: str) -> list[Any]:
    """The (id, total_order, data_collection_order) of a table's events; None where there is no block."""
    found: list[Any] = [r.value["transaction"] for r in command.records(table) if r.value is not None]  # type: ignore[index]
    return [None if block is None else tuple(block.values()) for block in found]


def test_one_transaction_of_every_kind_of_event(source: Source, command: Command) -> None:
    """Tombstones count for nothing, a change of the key for two, a truncate for one."""
    source.execute(TABLE, "CREATE TABLE u (id int PRIMARY KEY)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    settings = {**ON, "topic.creation.default.partitions": 3}
    assert command.run("run", "--once", settings=settings).returncode == 0
    assert blocks(command, "public.t") == [None, None], "a snapshot belongs to no transaction"
    assert boundaries(command) == []
    with source.connect() as connection, connection.transaction():
        xid = connection.execute("SELECT txid_current()").fetchone()
        connection.execute("INSERT INTO t VALUES (3, 'c')")
        connection.execute("INSERT INTO u VALUES (1)")
        connection.execute("UPDATE t SET id = 4 WHERE id = 3")
        connection.execute("DELETE FROM t WHERE id = 2")
        connection.execute("INSERT INTO u VALUES (2)")
        connection.execute("TRUNCATE u")
    assert command.run("run", "--once", settings=settings).returncode == 0
    begin, end = boundaries(command)
    events: list[Any] = [r.value for r in [*command.records("public.t"), *command.records("public.u")] if r.value]
    events = [event for event in events if event["op"] != "r"]
    sources = [event["source"] for event in events]
    assert xid is not None
    assert begin["id"] == f"{xid[0]}:{sources[0]['commit_lsn']}"
    assert begin == {
        "status": "BEGIN", "id": begin["id"], "event_count": None, "data_collections": None,
        "ts_ms": sources[0]["ts_ms"],
    }  # fmt: skip
    assert end == {
        **begin, "status": "END", "event_count": 7,
        "data_collections": [
            {"data_collection": "public.t", "event_count": 4}, {"data_collection": "public.u", "event_count": 3},
        ],
    }  # fmt: skip
    seen = {(event["source"]["table"], event["op"], *event["transaction"].values()) for event in events}
    id = begin["id"]
    assert seen == {
        ("t", "c", id, 1, 1), ("u", "c", id, 2, 1), ("t", "d", id, 3, 2), ("t", "c", id, 4, 3), ("t", "d", id, 5, 4),
        ("u", "c", id, 6, 2), ("u", "t", id, 7, 3),
    }  # fmt: skip
    assert all(event["transaction"]["total_order"] == event["source"]["ordinal"] for event in events)


def test_a_transaction_of_which_nothing_is_selected_is_not_told(source: Source, command: Command) -> None:
    """Neither is one that holds only DDL; and nothing is told unless asked for."""
    source.execute(TABLE, "CREATE TABLE other (id int)")
    settings = {**ON, "table.include.list": "public.t"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute("INSERT INTO other VALUES (1)", "ALTER TABLE t ADD COLUMN w int", "INSERT INTO t VALUES (1)")
    assert command.run("run", "--once", settings=settings).returncode == 0
    assert [(value["status"], value["event_count"]) for value in boundaries(command)] == [("BEGIN", None), ("END", 1)]
    source.execute("INSERT INTO t VALUES (2)")
    assert command.run("run", "--once", settings={"table.include.list": "public.t"}).returncode == 0
    assert len(boundaries(command)) == 2
    assert [block and block[1:] for block in blocks(command, "public.t")] == [(1, 1), None]


def test_many_transactions_and_a_big_one_of_two_partitions(source: Source, command: Command) -> None:
    """BEGIN, events, END of each in commit order; the root's name, whichever leaf a row is in."""
    source.execute(
        TABLE,
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY HASH (id)",
        *(f"CREATE TABLE p{n} PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER {n})" for n in (0, 1)),
    )
    assert command.run("run", "--once", settings=ON).returncode == 0
    source.execute(*(f"INSERT INTO t VALUES ({n})" for n in range(20)))
    source.execute("WITH p AS (INSERT INTO p SELECT generate_series(1, 2500)) UPDATE t SET v = 'x'")
    assert command.run("run", "--once", settings=ON).returncode == 0
    values = boundaries(command)
    assert [value["status"] for value in values] == ["BEGIN", "END"] * 21
    assert [value["id"] for value in values[::2]] == [value["id"] for value in values[1::2]]
    assert [value["event_count"] for value in values[1::2]] == [1] * 20 + [2520]
    big = values[-1]
    counts = {found["data_collection"]: found["event_count"] for found in big["data_collections"]}
    assert counts == {"public.t": 20, "public.p": 2500}
    rows = blocks(command, "public.p")
    assert {row[0] for row in rows} == {big["id"]}
    assert [row[2] for row in rows] == list(range(1, 2501))
    orders = [row[1] for row in [*rows, *blocks(command, "public.t")[20:]]]
    assert sorted(orders) == list(range(1, 2521))


def test_rows_that_are_read_again_and_shapes_that_change_are_counted_once(source: Source, command: Command) -> None:
    """A null that may be NaN; a large value that an update left alone; a column added between."""
    source.execute(
        "CREATE TABLE n (id int PRIMARY KEY, price float8, big text)",
        "ALTER TABLE n ALTER COLUMN big SET STORAGE EXTERNAL",
    )
    assert command.run("run", "--once", settings=ON).returncode == 0
    with source.connect() as connection, connection.transaction():
        connection.execute("INSERT INTO n SELECT i, 'NaN', repeat('x', 5000) FROM generate_series(1, 3) i")
        connection.execute("UPDATE n SET price = NULL")
        connection.execute("ALTER TABLE n ADD COLUMN more int")
        connection.execute("UPDATE n SET id = 9, more = 1 WHERE id = 3")
    assert command.run("run", "--once", settings=ON).returncode == 0
    assert [block[1:] for block in blocks(command, "public.n")] == [(n, n) for n in range(1, 9)]
    assert boundaries(command)[1]["data_collections"] == [{"data_collection": "public.n", "event_count": 8}]


def test_tail_shows_the_topic_when_asked(source: Source, command: Command) -> None:
    """By its whole name, alone or beside tables; it is none of the tables' topics."""
    source.execute(TABLE)
    assert command.run("run", "--once", settings=ON).returncode == 0
    source.execute("INSERT INTO t VALUES (1)")
    assert command.run("run", "--once", settings=ON).returncode == 0
    named = ("--topic", f"{command.prefix}.transaction")
    for arguments, lines in (((), 1), (named, 2), (("t", *named), 3)):
        shown = command.run("tail", *arguments, "--once")
        assert shown.returncode == 0, shown.stderr
        assert len(shown.stdout.splitlines()) == lines
    first = json.loads(command.run("tail", *named, "--once").stdout.splitlines()[0])
    assert first["value"]["status"] == "BEGIN"


def test_a_topic_that_may_not_be_made_must_be_there(source: Source, command: Command) -> None:
    """Told before there is a slot, and by `check`."""
    source.execute(TABLE)
    assert command.run("run", settings={"snapshot.mode": "initial_only"}).returncode == 0
    settings = {**ON, "topic.creation.enable": "false"}
    for arguments in (("run", "--once"), ("check",)):
        refused = command.run(*arguments, settings=settings)
        assert refused.returncode == 3
        assert f"{command.prefix}.transaction" in refused.stdout + refused.stderr
    assert source.confirmed_lsn() is None


def test_begin_and_end_are_acked_before_the_slot_moves(source: Source, command: Command) -> None:
    """Killed and started again, a transaction is told whole."""
    source.execute(TABLE)
    running = command.start("run", settings=ON)
    running.wait_for("streaming")
    source.execute("INSERT INTO t SELECT generate_series(1, 30000)")
    wait_for(lambda: boundaries(command), 20, "a BEGIN")
    running.process.kill()
    running.process.wait(10)
    assert command.run("run", "--once", settings=ON).returncode == 0
    values = boundaries(command)
    assert len({value["id"] for value in values}) == 1
    assert values[-1]["status"] == "END"
    assert values[-1]["event_count"] == 30000
