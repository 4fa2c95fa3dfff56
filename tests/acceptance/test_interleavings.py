"""Chunk readings, writers and kills at random, on a real PostgreSQL: the topic is the table, for every consumer.

A producer in this process writes to topics in memory, so that a round takes a second or two. More rounds:
INTERLEAVINGS=1000 pytest tests/acceptance/test_interleavings.py; others: INTERLEAVINGS_FROM=<seed>. In every second
round commits wait for a synchronous standby that stalls: they are decoded before a snapshot shows them.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import pytest

from dev.stack import Stack
from producer.acks import Group
from producer.clock import SystemClock
from producer.errors import TemporaryError
from producer.pipeline.run import Runner
from producer.pipeline.snapshot import later
from producer.pipeline.stop import Stop
from producer.schema.registry import Registry
from producer.settings import Settings, load_settings
from producer.sink.memory import MemorySink
from producer.sink.protocol import PARTITIONER, Headers, OnDelivery
from producer.sink.reader import Record, TopicReader
from tests import harness
from tests.harness import Source, source_of, wait_for
from tests.sync_standby import StallingStandby
from tests.writers import Writers, judge_records, table_of

ROUNDS = int(os.environ.get("INTERLEAVINGS", "6"))
FIRST_SEED = int(os.environ.get("INTERLEAVINGS_FROM", "1"))
ROWS = 240
# With 20 rows a page or so, some 8 chunks.
CHUNK_ROWS = 30
# What befalls the table between two runs, and how likely.
EVENTS = {
    "VACUUM FULL t": 0.15,
    "TRUNCATE t": 0.08,
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS w float8 DEFAULT random()": 0.1,
    "VACUUM t": 0.2,
}


@pytest.fixture
def source(stack: Stack, tmp_path: Path) -> Iterator[Source]:
    """A database of a server of its own: a standby is waited for by all of a server's sessions."""
    own = Stack(tmp_path / "own", stack.cache)
    own.start("postgres")
    try:
        with source_of(own, f"t{secrets.token_hex(5)}") as made:
            yield made
    finally:
        own.wipe()


class Killed(BaseException):
    """As by kill -9: nothing handles it."""


class Mortal(MemorySink):
    """Topics that outlive their producer, which dies at one of its records, or beside a chunk's mark."""

    def __init__(self, before: MemorySink | None, chance: random.Random) -> None:
        super().__init__()
        if before is not None:
            self.topics, self.configs = before.topics, before.configs
        self._chance = chance
        self._records_left = 10**9
        self._marks_left = 10**9
        match chance.choice(("record", "mark", "nothing")):
            case "record":
                self._records_left = chance.randint(1, 2 * ROWS)
            case "mark":
                self._marks_left = chance.randint(1, 10)

    def immortal(self) -> Mortal:
        """Nothing happens to it."""
        self._records_left = self._marks_left = 10**9
        return self

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int, on_delivery: OnDelivery, /
    ) -> None:
        """Store one record, perhaps as the last."""
        super().produce(topic, value, key, partition, on_delivery)
        self._records_left -= 1
        if not self._records_left:
            self._die()

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, group: Group, *, headers: Headers | None = None,
        partition: int = PARTITIONER,
    ) -> None:  # fmt: skip
        """Store one record; of a chunk's mark, die before or behind it."""
        mark = b'"chunk"' in (key or b"") and value is not None
        self._marks_left -= mark
        if mark and not self._marks_left and self._chance.random() < 0.5:
            self._die()
        super().send(topic, key, value, group, headers=headers, partition=partition)
        self._records_left -= 1
        if not self._records_left or (mark and not self._marks_left):
            self._die()

    def poll(self) -> None:
        """Acks come when they come."""
        if self._chance.random() < 0.3:
            super().poll()

    def _die(self) -> None:
        """What is not acked may be lost, the last records first."""
        if self._chance.random() < 0.5:
            for _, _, record in self._reports:
                del self.topics[record.topic][record.partition][record.offset :]
        self._reports.clear()
        raise Killed

    def decoded(self, topic: str, registry: Registry) -> list[Record]:
        """What a topic holds."""
        reader = TopicReader("nowhere:1", {}, registry.schema)
        return [reader.decode(record) for record in self.records(topic)]


def run(source: Source, settings: Settings, sink: MemorySink) -> None:
    """`run --once`, through temporary faults: of the one before, the walsender is not gone yet perhaps."""
    free = f"SELECT FROM pg_replication_slots WHERE slot_name = '{settings.slot_name}' AND active"
    clock = SystemClock()
    while True:
        runner = Runner(settings, clock, Stop(clock), once=True)
        try:
            runner._with(sink)
        except TemporaryError:
            wait_for(lambda: not source.rows(free), what="the slot to be free")
            continue
        return


def settings_of(source: Source, sets: Mapping[str, object]) -> Settings:
    """As the command would have them."""
    environment = source.stack.environment(source.name)
    return load_settings(None, [f"{k}={v}" for k, v in sets.items()], environment).settings


def play(source: Source, registry: Registry, seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One round: a table, writers, kills, and what a consumer has in the end."""
    chance = random.Random(seed)
    # A snapshot for each chunk, or for some of them.
    monkeypatch.setattr(later, "_YOUNG_SECONDS", chance.choice((0, 0.3)))
    slot, prefix = f"{source.slot}_{seed}", f"{source.name}r{seed}"
    source.execute(
        "DROP TABLE IF EXISTS t",
        "CREATE TABLE t (id int PRIMARY KEY, v bigint, pad text DEFAULT repeat('x', 300))",
        f"INSERT INTO t (id, v) SELECT i, -i FROM generate_series(1, {ROWS}) i",
    )
    if chance.random() < 0.5:
        source.make_slot(slot)
    sets = {
        "plugin.name": harness.PLUGIN, "topic.prefix": prefix, "slot.name": slot, "snapshot.chunk.rows": CHUNK_ROWS,
        "log.level": "error",
        "max.queue.size.in.bytes": chance.choice((1000, 20_000, 10**7)), "schema.registry.url": registry.url,
    }  # fmt: skip
    settings = settings_of(source, sets)
    sink: Mortal | None = None
    keys = sorted(chance.sample(range(1, ROWS + 40), 60))
    stalls = StallingStandby(source, folder, seed) if seed % 2 == 0 else nullcontext()
    with stalls, Writers(source, seed, keys=keys):
        for _ in range(chance.randint(1, 3)):
            sink = Mortal(sink, chance)
            with suppress(Killed):
                run(source, settings, sink)
            for statement, likely in EVENTS.items():
                if chance.random() < likely:
                    source.execute(statement)
    last = Mortal(sink, chance).immortal()
    run(source, settings, last)
    judge_records(last.decoded(f"{prefix}.public.t", registry), table_of(source), once=0)
    source.left()
    source.execute(f"SELECT pg_drop_replication_slot('{slot}')")


@pytest.mark.timeout(120 + 15 * ROUNDS)
def test_the_topic_is_the_table_whatever_happens(
    stack: Stack, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks in several snapshots, rows that move between them, restarts between a chunk and its mark."""
    with closing(Registry(stack.registry_url)) as registry:
        for seed in range(FIRST_SEED, FIRST_SEED + ROUNDS):
            try:
                play(source, registry, seed, tmp_path / str(seed), monkeypatch)
            except Exception as error:
                raise AssertionError(f"INTERLEAVINGS_FROM={seed} INTERLEAVINGS=1") from error
