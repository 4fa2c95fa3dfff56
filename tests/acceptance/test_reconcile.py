"""A topic compared with its table: what the table has no more is deleted, and nothing else."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from producer import crash_points
from tests import harness
from tests.harness import Command, Source, folded, wait_for
from tests.writers import Writers, judge

WHEN_NEEDED: dict[str, object] = {"snapshot.mode": "when_needed"}
COMPACTED: dict[str, object] = {"topic.creation.default.cleanup.policy": "compact"}
LOSSES = {
    "dropped": ("SELECT pg_drop_replication_slot('{slot}')",),
    "made anew": (
        "SELECT pg_drop_replication_slot('{slot}')",
        "SELECT pg_create_logical_replication_slot('{slot}', '{plugin}')",
    ),
    "moved": ("SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())",),
}


def once(command: Command, *settings: dict[str, object]) -> str:
    merged = {key: value for some in settings for key, value in some.items()}
    done = command.run("run", "--once", settings=merged)
    assert done.returncode == 0, done.stderr
    # The slot may be dropped or moved next.
    command.source.left()
    return done.stderr


@pytest.mark.parametrize("loss", LOSSES)
def test_when_needed(loss: str, source: Source, command: Command) -> None:
    """Contract 7: every table is read again, and the rows that have gone get their delete and tombstone."""
    source.execute(
        "CREATE TABLE t (a text, b int, v numeric(5,2) NOT NULL, PRIMARY KEY (b, a))",
        "INSERT INTO t SELECT 'k' || i, i, i FROM generate_series(1, 20) i",
        "CREATE TABLE keyless (v int)",
        "ALTER TABLE keyless REPLICA IDENTITY FULL",
        "INSERT INTO keyless VALUES (1)",
    )
    partitions: dict[str, object] = {"topic.creation.default.partitions": 3}
    once(command, WHEN_NEEDED, partitions)
    source.execute("DELETE FROM t WHERE b = 20")
    once(command, WHEN_NEEDED)
    source.execute(
        "UPDATE t SET v = -1 WHERE b = 1",
        "DELETE FROM t WHERE b IN (2, 3)",
        "INSERT INTO t VALUES ('k2', 2, 22), ('new', 99, 9)",
        *(statement.format(slot=source.slot, plugin=harness.PLUGIN) for statement in LOSSES[loss]),
        "INSERT INTO t VALUES ('later', 100, 9)",
    )
    before = {(record.partition, record.offset) for record in command.records("public.t")}
    assert "every table is read again" in once(command, WHEN_NEEDED)
    records: list[Any] = command.records("public.t")
    rows = {(row["a"], row["b"]): row["v"] for row in folded(records)[f"{command.prefix}.public.t"].values()}
    assert rows == {(a, b): v for a, b, v in source.rows("SELECT a, b, v FROM t")}
    fresh = [record for record in records if (record.partition, record.offset) not in before]
    deletes = [record for record in fresh if record.value and record.value["op"] == "d"]
    assert [record.value["before"] for record in deletes] == [{"a": "k3", "b": 3, "v": None}], "only what has gone"
    (gone,) = deletes
    assert (gone.value["after"], gone.value["source"]["snapshot"]) == (None, "incremental")
    assert (gone.value["source"]["ordinal"], gone.value["source"]["table"]) == (0, "t")
    (tombstone,) = [record for record in fresh if record.value is None]
    assert (tombstone.key, tombstone.partition) == (gone.key, gone.partition)
    assert "every table is read again" not in once(command, WHEN_NEEDED)
    assert len(command.records("public.t")) == len(records)


def test_recovered_under_load(source: Source, command: Command) -> None:
    """Design 3: beside writers no key goes back in time, and nothing that lives is deleted."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v bigint)")
    source.execute("INSERT INTO t SELECT i, i FROM generate_series(1, 60) i")
    once(command, WHEN_NEEDED)
    source.execute("DELETE FROM t WHERE id % 2 = 0", f"SELECT pg_drop_replication_slot('{source.slot}')")
    with Writers(source, 11) as writers:
        wait_for(lambda: writers.transactions > 20, what="load")
        running = command.start("run", settings=WHEN_NEEDED)
        running.wait_for("the topic was compared")
        done = writers.transactions
        wait_for(lambda: writers.transactions > done + 50, what="load behind the reading")
    assert running.stop() == 0, running.stderr
    judge(source, command, WHEN_NEEDED)


def test_killed_on_the_way(source: Source, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract 7: what is left is compared by the next start, whatever its snapshot.mode."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    source.execute("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i")
    once(command, WHEN_NEEDED)
    source.execute("DELETE FROM t WHERE id = 7", f"SELECT pg_drop_replication_slot('{source.slot}')")
    with monkeypatch.context() as dying:
        dying.setenv(crash_points.VARIABLE, "mid_copy:9")
        done = command.run("run", settings={**WHEN_NEEDED, "max.queue.size.in.bytes": 2000})
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "the topic was compared" not in done.stderr
    assert "the topic was compared" in once(command)
    assert len(folded(command.records("public.t"))[f"{command.prefix}.public.t"]) == 2999
    assert "the topic was compared" not in once(command)


def test_a_topic_whose_keys_cannot_be_known(source: Source, command: Command) -> None:
    """Contract 7: its first records are gone, and it is not compacted: exit 3, and nothing is changed."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    once(command, WHEN_NEEDED)
    admin = AdminClient({"bootstrap.servers": command.bootstrap_servers})
    for answer in admin.delete_records([TopicPartition(f"{command.prefix}.public.t", 0, 1)]).values():
        answer.result(10)
    source.execute(
        "INSERT INTO t VALUES (3)", f"SELECT pg_replication_slot_advance('{source.slot}', pg_current_wal_lsn())"
    )
    before = source.confirmed_lsn()
    done = command.run("run", "--once", settings=WHEN_NEEDED)
    assert done.returncode == 3, done.stderr
    assert f"{command.prefix}.public.t [0] begins at offset 1" in done.stderr
    assert source.confirmed_lsn() == before
    assert len(command.records()) == 1


def test_a_table_that_is_not_read_whole(source: Source, command: Command) -> None:
    """A key that a SELECT of its own does not show may live: exit 3, and nothing is changed."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    settings: dict[str, object] = {
        **WHEN_NEEDED, "snapshot.select.statement.overrides": "public.t",
        "snapshot.select.statement.overrides.public.t": "SELECT * FROM public.t WHERE id = 1",
    }  # fmt: skip
    once(command, settings)
    source.execute(f"SELECT pg_drop_replication_slot('{source.slot}')")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 3, done.stderr
    assert "cannot be compared" in done.stderr
    assert source.confirmed_lsn() is None


def test_a_row_that_no_record_can_carry_lives(source: Source, command: Command) -> None:
    """Its letter is written, and its key is not deleted: the row is in the table."""
    settings: dict[str, object] = {**WHEN_NEEDED, "errors.tolerance": "all", "time.precision.mode": "nanoseconds"}
    source.execute("CREATE TABLE t (id int PRIMARY KEY, d timestamp)", "INSERT INTO t VALUES (1), (2), (3)")
    once(command, settings)
    source.execute(
        f"SELECT pg_drop_replication_slot('{source.slot}')",
        "UPDATE t SET d = '294276-12-31 23:59:59' WHERE id = 2", "DELETE FROM t WHERE id = 3",
    )  # fmt: skip
    once(command, settings)
    records: list[Any] = command.records("public.t")
    assert [record.key["id"] for record in records if record.value and record.value["op"] == "d"] == [3]


def test_truncate_on_a_compacted_topic(source: Source, command: Command) -> None:
    """Contract 5: delete and tombstone for each key that the topic holds, at the truncate's position."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t SELECT generate_series(1, 5)")
    once(command, COMPACTED, {"topic.creation.default.partitions": 2})
    source.execute("DELETE FROM t WHERE id = 5")
    with source.connect() as session, session.transaction():
        for statement in ("INSERT INTO t VALUES (6)", "TRUNCATE t", "INSERT INTO t VALUES (1, 'again')"):
            session.execute(statement.encode())
    source.execute("INSERT INTO t VALUES (7)")
    before = len(command.records())
    once(command)
    records: list[Any] = command.records()
    assert sorted(row["id"] for row in folded(records)[f"{command.prefix}.public.t"].values()) == [1, 7]
    emptied = [r for r in records if r.value and r.value["op"] == "d" and r.value["source"]["ordinal"] == 2]
    assert sorted(record.key["id"] for record in emptied) == [1, 2, 3, 4, 6]
    assert len({record.value["source"]["commit_lsn"] for record in emptied}) == 1
    assert {record.value["source"]["snapshot"] for record in emptied} == {"false"}
    assert len([record for record in records if record.value is None]) == 6
    assert len(records) == before + 1 + 1 + 1 + 2 * 5 + 1 + 1
    once(command)
    assert len(command.records()) == len(records)


def test_truncate_on_a_compacted_topic_without_key(source: Source, command: Command) -> None:
    """Contract 5: exit 3."""
    source.execute("CREATE TABLE t (id int)", "ALTER TABLE t REPLICA IDENTITY FULL")
    once(command, COMPACTED)
    source.execute("TRUNCATE t")
    done = command.run("run", "--once")
    assert done.returncode == 3, done.stderr
    assert "has no key" in done.stderr


def test_truncate_of_one_partition(source: Source, command: Command) -> None:
    """Contract 5: a reconcile of the root; rows that are in the table again, or still, stay."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE high PARTITION OF t FOR VALUES FROM (100) TO (200)",
        "INSERT INTO t SELECT generate_series(98, 102)",
    )
    once(command)
    source.execute("INSERT INTO t VALUES (97), (103)", "TRUNCATE low", "INSERT INTO t VALUES (99, 'again')")
    assert "the topic was compared" in once(command)
    records: list[Any] = command.records("public.t")
    rows = {row["id"]: row["v"] for row in folded(records)[f"{command.prefix}.public.t"].values()}
    assert rows == {99: "again", 100: None, 101: None, 102: None, 103: None}
    assert sorted(r.key["id"] for r in records if r.value and r.value["op"] == "d") == [97, 98]
    assert "the topic was compared" not in once(command)
    assert len(command.records("public.t")) == len(records)
