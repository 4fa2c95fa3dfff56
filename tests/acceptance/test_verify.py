"""`verify`: what differs between a table and its topic, exactly, beside a stream too; and `--repair`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from producer.sink.consume import consumer_config, read_to_end
from producer.sink.protocol import RawRecord
from tests.harness import Command, Source, folded, wait_for
from tests.writers import KEYS, Writers, judge

Settings = dict[str, object]
COMPACTED: Settings = {"topic.creation.default.cleanup.policy": "compact"}
ONCE: Settings = {"exactly.once.support": "required"}


def run_once(command: Command, settings: Settings | None = None) -> None:
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr


def verified(command: Command, *arguments: str, settings: Settings | None = None, code: int = 0) -> dict[str, Any]:
    """The command's document."""
    done = command.run("verify", "--json", *arguments, settings=settings)
    assert done.returncode == code, (done.stdout, done.stderr)
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["equal"] is (code == 0)
    return document


def raw(command: Command, table: str = "public.t") -> dict[Any, RawRecord]:
    """The last record with a value of each key, by the key's column id."""
    decoded = command.records(table)
    records = read_to_end(consumer_config(command.bootstrap_servers, {}), f"{command.prefix}.{table}", 30)
    by_place = {(record.partition, record.offset): record for record in records}
    found: dict[Any, RawRecord] = {}
    for record in decoded:
        key: Any = record.key
        if key is not None and record.value is not None:
            found[key["id"]] = by_place[record.partition, record.offset]
    return found


def put(command: Command, *records: tuple[int, bytes, bytes | None], table: str = "public.t") -> None:
    """Records that the producer did not send: partition, key, value."""
    client = Producer({"bootstrap.servers": command.bootstrap_servers})
    for partition, key, value in records:
        client.produce(f"{command.prefix}.{table}", key=key, value=value, partition=partition)
    assert client.flush(20) == 0


def tamper(command: Command) -> None:
    """Another value for 5, nothing for 7, and a row 5007 that is not in the table."""
    last = raw(command)
    changed, gone = last[5], last[7]
    assert changed.key is not None
    assert gone.key is not None
    assert changed.key[5:] == b"\x0a"
    extra = changed.key[:5] + b"\x9e\x4e"
    put(
        command,
        (changed.partition, changed.key, last[6].value), (gone.partition, gone.key, None), (0, extra, last[6].value),
    )  # fmt: skip


def differences(document: dict[str, Any]) -> dict[str, list[Any]]:
    return {kind: [item["key"]["id"] for item in document[kind]] for kind in ("missing", "extra", "different")}


@pytest.mark.parametrize("settings", [{}, ONCE, COMPACTED], ids=["delete", "exactly once", "compacted"])
def test_each_difference_is_found_and_repaired(source: Source, command: Command, settings: Settings) -> None:
    """Contract 2, 5: exit 4 and exactly the keys; then 0, and only what differed was sent, where it belongs."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v numeric(8,2), at timestamptz, note text)",
        "INSERT INTO t SELECT i, i / 4.0, timestamptz '2026-01-01 00:00+00' + i * interval '1 s', "
        "'a \"b\\, (' || i FROM generate_series(1, 4000) i",
        "CREATE TABLE other (id bigint PRIMARY KEY)",
        "INSERT INTO other VALUES (1), (2)",
        "ANALYZE",
    )
    settings = {**settings, "topic.creation.default.partitions": 2}
    run_once(command, settings)
    source.execute("UPDATE t SET v = -v WHERE id % 7 = 0", "DELETE FROM t WHERE id = 100", "INSERT INTO t VALUES (100)")
    run_once(command, settings)
    document = verified(command, settings=settings)
    (other, table) = document["tables"]
    assert (table["table"], table["hashed"], table["rows"], table["rows_read"]) == ("public.t", True, 4000, 0)
    assert (other["rows"], other["buckets_read"]) == (2, 0)

    tamper(command)
    document = verified(command, settings=settings, code=4)
    assert differences(document) == {"missing": [7], "extra": [5007], "different": [5]}
    assert document["totals"] == {"missing": 1, "extra": 1, "different": 1}
    (other, table) = document["tables"]
    assert (other["equal"], table["equal"]) == (True, False)
    assert 0 < table["buckets_read"] <= 3
    assert 0 < table["rows_read"] < 4000, "only buckets that differ are read"

    before = len(command.records("public.t"))
    document = verified(command, "--repair", settings=settings)
    assert document["repaired"] == {"public.t": 3}
    records: list[Any] = command.records("public.t")
    rows = {row["id"]: row["v"] for row in folded(records)[f"{command.prefix}.public.t"].values()}
    assert rows == dict(source.rows("SELECT id, v FROM t"))
    ordered = sorted(records, key=lambda record: record.timestamp_ms)
    sent = ordered[before:]
    assert sorted((record.key["id"], record.value and record.value["op"]) for record in sent if record.value) == [
        (5, "r"), (7, "r"), (5007, "d"),
    ]  # fmt: skip
    assert [record.key["id"] for record in sent if record.value is None] == [5007]
    last = max(record.value["source"]["commit_lsn"] for record in ordered[:before] if record.value)
    for record in sent:
        if record.value:
            place = record.value["source"]
            assert (place["ordinal"], place["snapshot"]) == (0, "incremental")
            assert place["commit_lsn"] >= last


@pytest.mark.parametrize("settings", [{}, COMPACTED | ONCE], ids=["delete", "compacted, exactly once"])
def test_beside_writers_and_a_producer(source: Source, command: Command, settings: Settings) -> None:
    """A key in motion is never told to differ; one that differs is found beside it; a repair waits for its turn."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v bigint, pad text)")
    source.execute("INSERT INTO t SELECT i, i, repeat('x', 20) FROM generate_series(1, 3000) i", "ANALYZE")
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    with Writers(source, 23) as writers:
        for _ in range(3):
            done = writers.transactions
            document = verified(command, "t")
            assert document["slot_behind_bytes"] is None
            assert [found["table"] for found in document["tables"]] == ["public.t"]
            assert writers.transactions > done, "the table was changed meanwhile"
        last = raw(command)
        changed = last[2000]
        assert changed.key is not None
        put(command, (changed.partition, changed.key, last[2001].value))
        assert differences(verified(command, "t", code=4)) == {"missing": [], "extra": [], "different": [2000]}
        refused = command.run("verify", "--repair", settings=settings)
        assert refused.returncode == 3, refused.stderr
        assert "stop that producer" in refused.stderr
    assert running.stop() == 0, running.stderr
    assert max(KEYS, 1) < 2000
    verified(command, "--repair", "t", settings=settings)
    rows = {row["id"]: row["v"] for row in folded(command.records())[f"{command.prefix}.public.t"].values()}
    assert rows == dict(source.rows("SELECT id, v FROM t"))


def test_times_that_no_calendar_of_python_has_are_hashed_alike(source: Source, command: Command) -> None:
    """Validity without end, above all: such a table was read row by row."""
    source.execute("CREATE TABLE t (id int, until timestamptz, PRIMARY KEY (id, until))")
    far = ("infinity", "-infinity", "4714-11-24 00:00+00 BC", "10000-01-01 00:00+00", "294276-12-31 23:59:59.9+00")
    source.execute(*(f"INSERT INTO t VALUES ({number}, '{time}')" for number, time in enumerate(far)))
    run_once(command)
    (table,) = verified(command)["tables"]
    assert (table["hashed"], table["rows"], table["rows_read"]) == (True, len(far), 0)


def test_no_key_goes_back_in_time_by_a_repair(source: Source, command: Command) -> None:
    """Contract 5: a repair is the stream: what it sends stands above what was before it, and below what follows."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v bigint)")
    source.execute("INSERT INTO t SELECT i, i FROM generate_series(1, 60) i")
    run_once(command)
    # Each of them is a difference, until the stream is read.
    with Writers(source, 5) as writers:
        wait_for(lambda: writers.transactions > 50, what="load")
        document = json.loads(command.run("verify", "--json", "--repair").stdout)
        assert document["repaired"]["public.t"] > 0
    judge(source, command)
    verified(command)


HASHED = {
    "bigint": "-9223372036854775808", "oid": "4000000000", "boolean": "true", "real": "'3.4028235e38'",
    "double precision": "'-0'", "numeric(10,2)": "-99999999.99", "numeric": "1.50000",
    "char(5)": "'ab'", "varchar(10)": "''", "text": "E'\\t\\n\\\\\"{},(é\\u00a0'", "bytea": "'\\xdeadbeef'",
    "date": "'infinity'", "time": "'24:00:00'", "time(3)": "'13:51:30.123'", "timestamp": "'4713-01-01 00:00 BC'",
    "timestamp(3)": "'-infinity'", "timestamptz": "'2016-11-04 13:51:30.1+02'", "uuid": "gen_random_uuid()",
    "interval": "'1 year -2 mons 3 days -4:05:06.78'", "json": '\'{"b":1,  "a":1.10}\'', "jsonb": '\'{"b": 1}\'',
    "inet": "'::ffff:1.2.3.4/96'", "int4range": "'[1,10)'", "tstzrange": "'[2026-01-01 00:00+02,)'", "mood": "'sad'",
    "price": "9.9", "varbit": "B'00101'",
}  # fmt: skip
READ = {
    "integer[]": "'{1,NULL}'", "address": '\'("a b",)\'', "money": "'-1234.50'", "point": "'(1.5,-2)'",
    "bit(2)": "B'10'", "timetz": "'13:51:30.5+02'",
}  # fmt: skip


def test_types_by_hashes_or_by_reading(source: Source, command: Command) -> None:
    """PostgreSQL's hash is the topic's for most types; a table that has others is read, and is equal too."""
    source.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE DOMAIN price AS numeric(10,2)",
        "CREATE TYPE address AS (street text, zip int)",
    )  # fmt: skip
    for name, columns in (("hashed", HASHED), ("read", HASHED | READ)):
        listed = ", ".join(f"c{number} {type}" for number, type in enumerate(columns))
        values = ", ".join(columns.values())
        source.execute(
            f"CREATE TABLE {name} (id uuid DEFAULT gen_random_uuid(), k timestamp(3), {listed}, PRIMARY KEY (k, id))",
            f"INSERT INTO {name} SELECT gen_random_uuid(), '2026-01-01', {values} FROM generate_series(1, 3)",
            f"INSERT INTO {name} (k) VALUES ('2026-01-01'), ('0044-03-15 BC')",
        )
    run_once(command)
    source.execute(*(f"UPDATE {name} SET c0 = 1 WHERE c0 IS NULL" for name in ("hashed", "read")))
    run_once(command)
    hashed, read = verified(command)["tables"]
    assert (hashed["hashed"], hashed["rows"], hashed["rows_read"]) == (True, 5, 0)
    assert (read["hashed"], read["rows"], read["rows_read"]) == (False, 5, 5)


def test_filters_masks_partitions_and_older_shapes(source: Source, command: Command) -> None:
    """Compared is what is sent, by what it means now: a record of before a column was added knows it as null."""
    settings: Settings = {
        "column.exclude.list": r"public\.t\.secret", "column.mask.hash.SHA-256.with.salt.pepper": r"public\.t\.mail",
        "column.truncate.to.3.chars": r"public\.parts\.v", "topic.creation.default.partitions": 2,
    }  # fmt: skip
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, secret text, mail text, dropped int)",
        "INSERT INTO t VALUES (1, 'x', 'a@b', 3), (2, 'y', NULL, 4), (3, 'z', 'c@d', 5)",
        "CREATE TABLE parts (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10) TO (20)",
        "INSERT INTO parts VALUES (1, 'long'), (11, 'longer')",
        "CREATE TABLE emptied (id int PRIMARY KEY, n int)",
        "INSERT INTO emptied VALUES (1, 1), (2, 2)",
    )
    run_once(command, settings)
    source.execute(
        "ALTER TABLE t ADD COLUMN added int, DROP COLUMN dropped",
        "UPDATE t SET added = 7 WHERE id = 1",
        "UPDATE parts SET id = 12 WHERE id = 1",
        "TRUNCATE emptied",
        "INSERT INTO emptied VALUES (2, 3)",
    )
    run_once(command, settings)
    emptied, parts, table = verified(command, settings=settings)["tables"]
    assert (emptied["rows"], emptied["rows_read"], table["hashed"], parts["rows"]) == (1, 0, False, 2)
    # A default that the rows have had from the start was in no record: consumers do not have it.
    source.execute("ALTER TABLE emptied ADD COLUMN more int DEFAULT 5", "UPDATE t SET mail = 'e@f' WHERE id = 3")
    run_once(command, settings)
    document = verified(command, settings=settings, code=4)
    assert differences(document) == {"missing": [], "extra": [], "different": [2]}
    verified(command, "--repair", settings=settings)


def test_columns_that_a_record_does_not_hold(source: Source, command: Command) -> None:
    """unchanged.toast.handling=placeholder: such a column is not compared, the others of the row are."""
    settings: Settings = {"unchanged.toast.handling": "placeholder"}
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int, big text)",
        "ALTER TABLE t ALTER COLUMN big SET STORAGE external",
        "INSERT INTO t SELECT i, i, repeat('x', 4000) FROM generate_series(1, 10) i",
    )
    run_once(command, settings)
    source.execute("UPDATE t SET v = -v WHERE id <= 3")
    run_once(command, settings)
    document = verified(command, settings=settings)
    assert document["tables"][0]["rows_read"] == 3
    last = raw(command)
    assert last[4].key is not None
    put(command, (0, last[4].key, last[5].value))
    assert differences(verified(command, settings=settings, code=4))["different"] == [4]


def test_a_repair_sends_no_deletes_that_are_skipped(source: Source, command: Command) -> None:
    """skipped.operations=d: such keys stay, and are not counted as repaired."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    settings: Settings = {"skipped.operations": "d,u"}
    run_once(command, settings)
    source.execute("DELETE FROM t WHERE id = 1")
    run_once(command, settings)
    document = verified(command, "--repair", settings=settings, code=4)
    assert (differences(document)["extra"], document["repaired"]) == ([1], {})
    source.execute("UPDATE t SET v = 'c'")
    run_once(command, settings)
    document = verified(command, "--repair", settings=settings, code=4)
    assert document["repaired"] == {"public.t": 1}
    assert document["totals"] == {"missing": 0, "extra": 1, "different": 0}


def test_what_was_not_sent_yet_is_a_difference_and_said(source: Source, command: Command) -> None:
    """With nobody reading the slot the topic ends where it ends."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    run_once(command)
    source.execute("INSERT INTO t VALUES (2)")
    done = command.run("verify")
    assert done.returncode == 4, done.stderr
    assert "nobody reads the slot" in done.stderr
    assert 'missing {"id": 2}' in done.stdout
    document = verified(command, code=4)
    assert document["slot_behind_bytes"] > 0
    run_once(command)
    verified(command)


def test_what_cannot_be_compared(source: Source, command: Command) -> None:
    """Named, it is a refusal; among all tables it is told, and the others are compared. Contract 7: known keys."""
    source.execute(
        "CREATE TABLE keyless (v int)", "ALTER TABLE keyless REPLICA IDENTITY FULL", "INSERT INTO keyless VALUES (1)",
        "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)",
    )  # fmt: skip
    run_once(command)
    assert list(verified(command)["not_compared"]) == ["public.keyless"]
    for arguments, code, words in (
        (("keyless",), 3, "has no key"), (("public.nowhere",), 2, "no selected table"), (("t", "."), 2, "is no table"),
    ):  # fmt: skip
        done = command.run("verify", *arguments)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    admin = AdminClient({"bootstrap.servers": command.bootstrap_servers})
    for answer in admin.delete_records([TopicPartition(f"{command.prefix}.public.t", 0, 1)]).values():
        answer.result(10)
    done = command.run("verify", "t")
    assert done.returncode == 3, done.stderr
    assert "begins at offset 1" in done.stderr
    source.execute(f"SELECT pg_drop_replication_slot('{source.slot}')")
    done = command.run("verify", "--repair")
    assert done.returncode == 3, done.stderr
    assert "there is no replication slot" in done.stderr


def test_a_row_that_no_record_can_carry(source: Source, command: Command) -> None:
    """errors.tolerance=all: it is a dead letter, told by itself and no difference; else it stops with exit 4."""
    tolerant: Settings = {"errors.tolerance": "all"}
    source.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric)", "INSERT INTO t VALUES (1, 1), (2, 'NaN')")
    run_once(command, tolerant)
    assert verified(command, settings=tolerant)["tables"][0]["not_carried"] == 1
    done = command.run("verify")
    assert done.returncode == 4, done.stderr
    assert "column n" in done.stderr
