"""Rows come, change, get another key, go: the copy that the sink makes is the source's table."""

from __future__ import annotations

import random
import signal
from typing import Any

import pytest
from confluent_kafka import Producer

from producer.sink.consume import consumer_config, read_to_end
from tests.downstream.sink import Sink, printed, run_once
from tests.harness import Command, Source

pytestmark = pytest.mark.downstream

# Key columns in another order than the table's, and beyond what a double holds.
LINE = """CREATE TABLE line (
    note text, at timestamptz, price numeric(12,4), day date, number bigint, part uuid, name varchar(40), big text,
    PRIMARY KEY (part, number, name, day, at, price));
    ALTER TABLE line ALTER big SET STORAGE EXTERNAL"""
LINES = """INSERT INTO line SELECT
    CASE WHEN n % 3 > 0 THEN 'note ' || n END, '2024-02-29 23:59:59.999999+05'::timestamptz + n * interval '1.000001 s',
    n / 7.0, '1999-12-31'::date + n, 9007199254740993 + n, md5(n::text)::uuid, 'n''é"\\ ' || n,
    repeat(md5(n::text), 200)
    FROM generate_series({}, {}) n"""
LINE_CHANGES = (
    "UPDATE line SET note = NULL WHERE number % 5 = 0",
    "UPDATE line SET note = 'was null' WHERE note IS NULL AND number % 2 = 0",
    # The value that was not changed lies apart (TOAST), and is not in the log.
    "UPDATE line SET note = 'x' WHERE number % 11 = 0",
    "UPDATE line SET name = name || '!', price = -price WHERE number % 4 = 0",
    "DELETE FROM line WHERE number % 7 = 0",
)
ODD = 'CREATE TABLE "Order Items" ("select" int PRIMARY KEY, "MixedCase" text, "from" text)'
ODD_CHANGES = (
    """INSERT INTO "Order Items" VALUES (1, 'a', NULL), (2, 'b', ''), (3, NULL, 'ü')""",
    """UPDATE "Order Items" SET "MixedCase" = 'c' WHERE "select" = 1""",
    """UPDATE "Order Items" SET "select" = 20 WHERE "select" = 2""",
    """DELETE FROM "Order Items" WHERE "select" = 3""",
)


def assert_equal(source: Source, copy: Source, *queries: str) -> None:
    """Both have rows, and the same ones."""
    for query in queries:
        expected = printed(source, query)
        assert expected, query
        assert printed(copy, query) == expected


def test_the_copy_of_a_snapshot_and_of_its_stream(source: Source, copy: Source, command: Command, sink: Sink) -> None:
    """Inserts, updates, changes of a composite key, deletes, NULLs, odd names."""
    queries = (
        "SELECT part, number, name, day, at, price, note, big FROM line ORDER BY number, name",
        'SELECT "select", "MixedCase", "from" FROM "Order Items" ORDER BY 1',
    )
    source.execute(LINE, LINES.format(1, 300), ODD, """INSERT INTO "Order Items" VALUES (0, 'first', 'row')""")
    sink.start()
    run_once(command)
    sink.wait_copied()
    assert_equal(source, copy, *queries)
    source.execute(LINES.format(301, 400), *LINE_CHANGES, *ODD_CHANGES)
    run_once(command)
    sink.wait_copied()
    assert_equal(source, copy, *queries)
    records: list[Any] = list(command.records("public.line"))
    assert {record.value["op"] if record.value else None for record in records} == {"r", "c", "u", "d", None}
    assert any(name == "__producer.unchanged" for record in records for name, _ in record.headers)


def test_changes_of_one_key_in_one_transaction(source: Source, copy: Source, command: Command, sink: Sink) -> None:
    """The order within a transaction counts: keys change places, a row goes and comes again."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    sink.start()
    run_once(command)
    source.execute(
        "BEGIN;"
        "UPDATE t SET id = 0 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = 0; COMMIT",
        "BEGIN;"
        "DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (3, 'again'); UPDATE t SET v = 'last' WHERE id = 3; COMMIT",
        "BEGIN; INSERT INTO t VALUES (4, 'd'); DELETE FROM t WHERE id = 4; COMMIT",
        "BEGIN; INSERT INTO t VALUES (5, 'never'); ROLLBACK",
    )
    run_once(command)
    sink.wait_copied()
    assert copy.rows("SELECT id, v FROM t ORDER BY id") == [(1, "b"), (2, "a"), (3, "last")]
    assert_equal(source, copy, "SELECT id, v FROM t ORDER BY id")


def test_truncate(source: Source, copy: Source, command: Command, sink: Sink) -> None:
    """The copy is emptied where it stands in the order of events."""
    tables = [f"CREATE TABLE {name} (id int PRIMARY KEY, v text)" for name in ("first", "second")]
    source.execute(
        *tables, *(f"INSERT INTO {name} SELECT n FROM generate_series(1, 50) n" for name in ("first", "second"))
    )
    sink.start()
    run_once(command)
    sink.wait_copied()
    source.execute("INSERT INTO first VALUES (99)", "TRUNCATE first, second", "INSERT INTO first VALUES (7, 'after')")
    run_once(command)
    sink.wait_copied()
    assert copy.rows("SELECT id, v FROM first") == [(7, "after")]
    assert copy.rows("SELECT id, v FROM second") == []


def test_a_tombstone_alone_deletes(source: Source, copy: Source, command: Command, sink: Sink) -> None:
    """What compaction leaves of a delete; it names no table, so the topic must."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    run_once(command)
    sink.start(collection_name_format="${topic}")
    sink.wait_copied()
    topic = f"{command.prefix}.public.t"
    first, _ = read_to_end(consumer_config(command.bootstrap_servers, {}), topic, 10)
    producer = Producer({"bootstrap.servers": command.bootstrap_servers})
    producer.produce(topic, key=first.key, value=None)
    assert producer.flush(10) == 0
    sink.wait_copied()
    assert copy.rows(f"SELECT id FROM {command.prefix}_public_t") == [(2,)]


def test_columns_come_and_go(source: Source, copy: Source, command: Command, sink: Sink) -> None:
    """The sink adds columns; one that went stays there, empty in new rows: it was made nullable."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, gone text NOT NULL DEFAULT 'x', v text)",
        "INSERT INTO t VALUES (1, 'a', 'b')",
    )
    sink.start()
    run_once(command)
    sink.wait_copied()
    source.execute(
        "ALTER TABLE t ADD COLUMN added numeric(6,2) DEFAULT 1.5",
        "INSERT INTO t VALUES (2, 'c', 'd', 2.25)",
        "UPDATE t SET v = 'e' WHERE id = 1",
        "ALTER TABLE t DROP COLUMN gone",
        "INSERT INTO t VALUES (3, 'f', NULL)",
    )
    run_once(command)
    sink.wait_copied()
    assert_equal(source, copy, "SELECT id, v, added FROM t ORDER BY id")
    assert copy.rows("SELECT id, gone FROM t ORDER BY id") == [(1, "a"), (2, "c"), (3, None)]


def test_a_table_without_key_is_appended(source: Source, copy: Source, command: Command, sink: Sink) -> None:
    """Its records have no key to find a row by."""
    source.execute("CREATE TABLE t (v text)", "INSERT INTO t VALUES ('a'), ('a'), (NULL)")
    run_once(command)
    source.execute("INSERT INTO t VALUES ('a'), ('b')")
    run_once(command)
    sink.start(primary_key_mode="none", insert_mode="insert", delete_enabled="false")
    sink.wait_copied()
    assert_equal(source, copy, "SELECT v FROM t ORDER BY v")


def test_many_changes_while_both_run(source: Source, copy: Source, command: Command, sink: Sink) -> None:
    """The producer is killed in the middle: what comes twice, in order for each key, changes nothing."""
    chance = random.Random(4)
    source.execute(
        "CREATE TABLE t (a int, b text, v text, n numeric(20,3), PRIMARY KEY (a, b))",
        "INSERT INTO t SELECT n, 'b' || n % 3, 'v' || n, n / 3.0 FROM generate_series(1, 200) n",
    )
    sink.start()
    first = command.start("run")
    first.wait_for("streaming")
    change(source, chance, 200)
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    change(source, chance, 200)
    run_once(command)
    sink.wait_copied()
    assert_equal(source, copy, "SELECT a, b, v, n FROM t ORDER BY a, b")


def change(source: Source, chance: random.Random, times: int) -> None:
    """Transactions of one to five random changes."""
    statements = (
        "INSERT INTO t VALUES ({a}, 'b' || {a} % 3, '{unique}', {a} / 7.0) ON CONFLICT DO NOTHING",
        "UPDATE t SET v = '{unique}', n = -n WHERE a = {a}",
        "UPDATE t SET v = NULL WHERE a BETWEEN {a} AND {a} + 3",
        "UPDATE t SET b = '{unique}' || b WHERE a = {a}",
        "DELETE FROM t WHERE a = {a}",
    )
    with source.connect() as connection:
        for number in range(times):
            with connection.transaction():
                for part in range(chance.choice((1, 1, 2, 5))):
                    statement = chance.choice(statements)
                    connection.execute(statement.format(a=chance.randrange(300), unique=f"{number}.{part} ").encode())
