"""pgoutput is the same product as wal2json: the same bytes of the same log; and one goes on where the other stopped."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from producer.lsn import Lsn
from producer.schema.registry import Registry
from producer.sink.consume import consumer_config, read_to_end
from producer.sink.protocol import RawRecord
from producer.sink.reader import Decoder
from producer.transcode.source_block import times
from tests import budget
from tests.harness import Command, Source, folded, wait_for
from tests.workload import TABLES, Workload

CHOSEN = "public[.](?!apart).*"
# What the producer's own clock says, last in each envelope.
_TIMES = len(times(1_795_343_146_245_855))


def synced(command: Command, settings: dict[str, object]) -> str:
    """A sync run that succeeds; what it said."""
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    return done.stderr


def raw(command: Command, topic: str) -> list[RawRecord]:
    return read_to_end(consumer_config(command.bootstrap_servers, {}), topic, 20)


def topics(command: Command) -> list[str]:
    """All topics of the connector, those beside its tables' among them."""
    names = Producer({"bootstrap.servers": command.bootstrap_servers}).list_topics(timeout=10).topics
    return sorted(name for name in names if name.startswith(f"{command.prefix}."))


def copied_positions(command: Command, old: str, new: str) -> None:
    """What is stored in one offsets topic, stored in another."""
    admin = AdminClient({"bootstrap.servers": command.bootstrap_servers})
    wanted = NewTopic(new, num_partitions=1, replication_factor=1, config={"cleanup.policy": "compact"})
    admin.create_topics([wanted])[new].result(20)
    producer = Producer({"bootstrap.servers": command.bootstrap_servers})
    for record in raw(command, old):
        producer.produce(new, value=record.value, key=record.key)
    assert producer.flush(10) == 0


def same(command: Command, topic: str, start: int) -> int:
    """The records behind `start` are twice the same; how many they are."""
    records = raw(command, topic)[start:]
    half = len(records) // 2
    registry = Registry(command.stack.registry_url)
    decoder = Decoder(registry.schema)
    try:
        for first, second in zip(records[:half], records[half:], strict=True):
            where = f"{topic}: {decoder.decode(first)}\n{decoder.decode(second)}"
            assert first.key == second.key, where
            assert first.headers == second.headers, where
            assert _steady(decoder, topic, first) == _steady(decoder, topic, second), where
    finally:
        registry.close()
    return half


def _steady(decoder: Decoder, topic: str, record: RawRecord) -> object:
    """All of a value but what the producer's clock says."""
    if record.value is None or not topic.endswith((".message", ".transaction")):
        return record.value and record.value[:-_TIMES]
    value: Any = decoder.decode(record).value
    value.pop("ts_ms")
    source = value.get("source")
    if source is not None and source["txId"] is None:
        for name in ("ts_ms", "ts_us", "ts_ns"):
            source.pop(name)
    return value


@pytest.mark.matrix
@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="plain"),
        pytest.param(
            {"provide.transaction.metadata": "true", "message.prefix.include.list": "wanted"}, id="with side topics"
        ),
        pytest.param({"skipped.operations": "u,t", "exactly.once.support": "required"}, id="exactly once"),
    ],
)
def test_both_plugins_give_the_same_records_of_the_same_log(
    source: Source, command: Command, more: dict[str, object]
) -> None:
    """Keys, values, headers and positions, over a random history in which tables are altered."""
    if not source.stack.wal2json_version:
        pytest.skip("there is no wal2json to compare with on this server")
    if source.major() < 14:
        pytest.skip("wal2json 2.3 leaves NULLs out of old rows: pgoutput tells more, and knows no messages")
    source.execute(*TABLES)
    source.publish()
    first, second = f"{source.name}-offsets", f"{source.name}-again"
    settings: dict[str, object] = {"table.include.list": CHOSEN, "offset.storage.topic": first, **more}
    synced(command, {**settings, "plugin.name": "wal2json"})
    with source.connect() as connection:
        Workload(connection, int(budget.SEED or 7)).run(200)
    other = f"{source.slot}_other"
    source.execute(f"SELECT pg_copy_logical_replication_slot('{source.slot}', '{other}', false, 'pgoutput')")
    before = {topic: len(raw(command, topic)) for topic in topics(command)}
    copied_positions(command, first, second)
    synced(command, {**settings, "plugin.name": "wal2json"})
    told = {**settings, "plugin.name": "pgoutput", "slot.name": other, "offset.storage.topic": second}
    synced(command, told)
    counts = {topic: same(command, topic, start) for topic, start in before.items()}
    assert sum(counts.values()) > 400, counts
    assert all(counts.values()), counts


def passed(source: Source, slot: str) -> bool:
    """Step 2 of docs/plugins.md, all of it: nothing is open beside us."""
    (lsn,) = source.rows("SELECT pg_current_wal_insert_lsn()::text")[0]
    beyond = f"SELECT confirmed_flush_lsn >= '{lsn}' FROM pg_replication_slots WHERE slot_name = '{slot}'"
    wait_for(lambda: source.rows(beyond)[0][0], what=f"{slot} beyond {lsn}")
    return True


def test_a_connector_moves_to_pgoutput_and_back_without_a_gap_or_a_snapshot(source: Source, command: Command) -> None:
    """docs/plugins.md. Rows are written around each step; the slot of the other plugin is refused."""
    source.execute("CREATE TABLE t (id serial PRIMARY KEY, v text)", "INSERT INTO t (v) VALUES ('copied')")
    running = command.start("run", settings={"plugin.name": "wal2json"})
    running.wait_for(" streaming ")
    source.execute(f"CREATE PUBLICATION producer_{source.name} FOR TABLE t", "INSERT INTO t (v) VALUES ('told')")
    passed(source, source.slot)
    assert running.stop() == 0
    source.execute("INSERT INTO t (v) VALUES ('while stopped')", "UPDATE t SET v = 'changed' WHERE id = 1")
    refused = command.run("run", "--once", settings={"plugin.name": "pgoutput"})
    assert refused.returncode == 3
    assert "pg_copy_logical_replication_slot" in refused.stderr
    new, back = f"{source.slot}_new", f"{source.slot}_back"
    source.execute(f"SELECT pg_copy_logical_replication_slot('{source.slot}', '{new}', false, 'pgoutput')")
    source.execute("INSERT INTO t (v) VALUES ('behind the copy')")
    synced(command, {"plugin.name": "pgoutput", "slot.name": new})
    source.execute("DELETE FROM t WHERE id = 2")
    source.execute(f"SELECT pg_copy_logical_replication_slot('{new}', '{back}', false, 'wal2json')")
    synced(command, {"plugin.name": "wal2json", "slot.name": back})
    ops = [record.value["op"] for record in command.records("public.t") if isinstance(record.value, dict)]
    assert ops == ["r", "c", "c", "u", "c", "d"]
    rows = {str(id): {"id": id, "v": v} for id, v in source.rows("SELECT id, v FROM t")}
    assert sorted(folded(command.records())[f"{command.prefix}.public.t"].values(), key=str) == sorted(
        rows.values(), key=str
    )


def test_a_publication_younger_than_the_log_stops_and_nothing_is_confirmed(source: Source, command: Command) -> None:
    """Whether the server ends the stream (42704) or leaves the changes out with a warning (PostgreSQL 18)."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    synced(command, {"plugin.name": "wal2json"})
    before = source.written("INSERT INTO t VALUES (1)")
    source.execute(f"CREATE PUBLICATION producer_{source.name} FOR ALL TABLES", "INSERT INTO t VALUES (2)")
    other = f"{source.slot}_other"
    source.execute(f"SELECT pg_copy_logical_replication_slot('{source.slot}', '{other}', false, 'pgoutput')")
    query = f"SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{other}'"
    done = command.run("run", "--once", settings={"plugin.name": "pgoutput", "slot.name": other})
    assert done.returncode == 3, done.stderr
    assert f"producer_{source.name}" in done.stderr
    assert Lsn.parse(str(source.rows(query)[0][0])) <= before
    synced(command, {"plugin.name": "wal2json"})
    assert [record.key for record in command.records("public.t")] == [{"id": 1}, {"id": 2}]


def test_a_generated_column_that_pgoutput_does_not_tell_of_is_refused_and_may_be_left_out(
    source: Source, command: Command
) -> None:
    """Or the stream would say null where the snapshot said a value."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED)",
        "INSERT INTO t VALUES (1, 1)", f"CREATE PUBLICATION producer_{source.name} FOR ALL TABLES",
    )  # fmt: skip
    settings: dict[str, object] = {"plugin.name": "pgoutput"}
    refused = command.run("run", "--once", settings=settings)
    assert refused.returncode == 3
    assert "public.t.twice" in refused.stderr
    settings["column.exclude.list"] = "public.t.twice"
    synced(command, settings)
    source.execute("INSERT INTO t VALUES (2, 2)", "UPDATE t SET n = 3 WHERE id = 1")
    synced(command, settings)
    values: list[Any] = [record.value for record in command.records("public.t")]
    assert [value["after"] for value in values] == [{"id": 1, "n": 1}, {"id": 2, "n": 2}, {"id": 1, "n": 3}]
