"""The links to the three servers, each away, cut, swallowed, slow and frozen: all recover by themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from dev.cluster import Cluster
from dev.secured import Secured
from dev.stack import Stack
from tests.harness import Command, Source, wait_for
from tests.held_registry import Held, held
from tests.links import FAULT, TABLE, Watched, ids, patient, peak_bytes, silent
from tests.proxy import Link


@pytest.fixture
def link() -> Iterator[Link]:
    """A way to a server that the test names."""
    made = Link(0)
    yield made
    made.close()


def test_the_link_to_postgres(source: Source, command: Command, link: Link) -> None:
    """Away at the start, cut in the middle of a message, swallowing all, slow: back by itself, nothing lost."""
    source.execute(TABLE)
    patient(source, 3)
    link.target = source.stack.postgres_port
    link.down()
    running = command.start("run", settings={"database.port": link.port})
    running.wait_for(FAULT)
    link.up()
    running.wait_for("streaming")
    watched = Watched(source, command, running)
    for disturb in (partial(link.cut, after=700), link.hole):
        watched.insert(3)
        watched.arrived()
        before = watched.faults()
        disturb()
        watched.insert(5)
        watched.another_fault(before)
        link.up()
        watched.arrived()
    link.delay = 0.05
    watched.insert(50)
    watched.arrived()
    link.delay = 0
    assert running.stop() == 0, running.stderr


def test_the_link_to_kafka(source: Source, command: Command, secured: Secured, detour: Link, stack: Stack) -> None:
    """Away at the start, cut in the middle of an answer, swallowing all, frozen: the slot's connection stays."""
    source.execute(TABLE)
    patient(source, 2)
    command.bootstrap_servers = secured.bootstrap_servers
    limit = 1_000_000
    settings: dict[str, object] = {
        "bootstrap.servers": f"127.0.0.1:{detour.port}", "max.queue.size.in.bytes": limit,
    }  # fmt: skip
    detour.down()
    running = command.start("run", settings=settings)
    running.wait_for(FAULT)
    detour.up()
    running.wait_for("streaming")
    watched = Watched(source, command, running)
    watched.insert(3)
    watched.arrived()
    before, walsender, memory = watched.faults(), watched.walsender(), peak_bytes(running)
    detour.cut(after=50)
    watched.insert(20)
    watched.arrived()
    detour.hole()
    watched.insert(20)
    silent(stack, 3)
    detour.up()
    watched.arrived()
    detour.delay = 0.05
    watched.insert(20)
    watched.arrived()
    detour.delay = 0
    with secured.frozen_kafka():
        source.execute("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1000, 50999) i")
        silent(stack, 4)
        assert watched.walsender() == walsender
        assert peak_bytes(running) - memory < 30 * limit
    wait_for(lambda: len(ids(command)) == 50063, 60, "the rows of the large transaction")
    assert watched.walsender() == walsender
    assert watched.faults() == before
    watched.unrepeated()
    assert running.stop() == 0, running.stderr


def test_both_links_in_the_first_snapshot(
    source: Source, command: Command, secured: Secured, link: Link, detour: Link, stack: Stack
) -> None:
    """PostgreSQL cut off in the middle of a row, Kafka away while it is read again: all rows, by itself."""
    source.execute(TABLE, "INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 20000) i")
    command.bootstrap_servers = secured.bootstrap_servers
    link.target = source.stack.postgres_port
    link.bytes_per_second = 500_000
    settings: dict[str, object] = {
        "database.port": link.port, "bootstrap.servers": f"127.0.0.1:{detour.port}",
        "max.queue.size.in.bytes": 100_000,
    }  # fmt: skip
    running = command.start("run", settings=settings)
    wait_for(command.records, what="the first rows")
    link.cut(after=1)
    running.wait_for(FAULT)
    # Nothing is read again before it is known how much there is.
    link.down()
    read = len(command.records())
    assert read < 20000
    link.up()
    wait_for(lambda: len(command.records()) > read, what="it is read again")
    detour.down()
    silent(stack, 1)
    detour.up()
    link.bytes_per_second = math.inf
    wait_for(lambda: len(ids(command)) == 20000, 60, "all rows")
    assert running.stop() == 0, running.stderr


def test_the_link_to_the_registry(source: Source, command: Command, link: Link) -> None:
    """Away at the start, in the first snapshot and exactly at a schema change, slow; the stream needs it only then."""
    tables = [f"t{number}" for number in range(35)]
    source.execute(TABLE, *(f"CREATE TABLE {name} (id int PRIMARY KEY)" for name in tables))
    source.execute(*(f"INSERT INTO {name} VALUES (1)" for name in [*tables, "t"]))
    # The schemas of 32 tables are registered before there is a slot, those of the others while rows are copied.
    with held(source.stack.registry_url, 2 * 32) as registry:
        _the_registry_away(source, command, link, registry)


def _the_registry_away(source: Source, command: Command, link: Link, registry: Held) -> None:
    link.target = registry.port
    link.down()
    running = command.start("run", settings={"schema.registry.url": f"http://127.0.0.1:{link.port}"})
    running.wait_for(FAULT)
    assert source.confirmed_lsn() is None, "no slot is made that would hold the log back"
    link.up()
    wait_for(lambda: source.confirmed_lsn() is not None, 30, "the slot is made")
    before = running.stderr.count(FAULT)
    link.down()
    registry.released.set()
    wait_for(lambda: running.stderr.count(FAULT) > before, 20, "it is missed")
    link.up()
    wait_for(lambda: len({record.topic for record in command.records()}) == 36, 60, "all tables' rows")
    source.execute("INSERT INTO t VALUES (2, '')")
    wait_for(lambda: ids_of_t(command) == [1, 2], 30, "a row of a known shape")
    before = running.stderr.count(FAULT)
    link.down()
    source.execute("INSERT INTO t VALUES (3, '')", "ALTER TABLE t ADD w int", "INSERT INTO t VALUES (4, '', 4)")
    wait_for(lambda: running.stderr.count(FAULT) > before, 20, "it is missed")
    wait_for(lambda: ids_of_t(command) == [1, 2, 3], 10, "what lies before the change goes out")
    link.up()
    link.delay = 0.3
    source.execute("INSERT INTO t VALUES (5, '', 5)")
    wait_for(lambda: ids_of_t(command) == [1, 2, 3, 4, 5], 30, "the rows of the new shape")
    assert running.stop() == 0, running.stderr


def ids_of_t(command: Command) -> list[int]:
    """In the order of the topic, repeats left out."""
    found: list[Any] = [record.value for record in command.records("public.t")]
    return list(dict.fromkeys(value["after"]["id"] for value in found))


def leaders(admin: AdminClient) -> set[int]:
    """Who leads some partition now, as the brokers know; nobody where the one that was asked has just died."""
    try:
        topics = admin.list_topics(timeout=10).topics.values()
    except KafkaException:
        return set()
    return {partition.leader for topic in topics for partition in topic.partitions.values()}


def test_a_broker_of_three_dies(source: Source, command: Command, stack: Stack, tmp_path: Path) -> None:
    """kill -9 of the partition's leader under load, acks of two: nothing lost, nothing out of order, no standstill."""
    cluster = Cluster(tmp_path / "cluster", stack.cache)
    try:
        cluster.start()
        source.execute(TABLE)
        command.bootstrap_servers = cluster.bootstrap_servers
        settings: dict[str, object] = {"bootstrap.servers": cluster.bootstrap_servers}
        running = command.start("run", settings=settings)
        running.wait_for("streaming")
        watched = Watched(source, command, running)
        watched.insert(50)
        watched.arrived()
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers, "log_level": 0})
        topic = admin.list_topics(timeout=10).topics[f"{command.prefix}.public.t"]
        assert len(topic.partitions[0].replicas) == 3
        watched.insert(200)
        dead = topic.partitions[0].leader
        cluster.kill(dead)
        watched.insert(200)
        wait_for(lambda: (found := leaders(admin)) and dead not in found, 30, "others lead")
        watched.arrived(60)
        assert running.stop() == 0, running.stderr
        values: list[Any] = [record.value for record in command.records()]
        order = [value["after"]["id"] for value in values]
        assert list(dict.fromkeys(order)) == list(range(450))
    finally:
        cluster.wipe()
