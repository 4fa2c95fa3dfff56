"""The benchmark's peer: Debezium in a Connect worker of its own writes what the table holds, in our wire format."""

from __future__ import annotations

import contextlib
from typing import Any

from bench.connect.progress import Progress
from bench.database import Database, backlog
from bench.peers import peers
from bench.tables import insert_orders, load_orders, orders
from dev.stack import Stack
from producer.schema.registry import Registry
from producer.sink.reader import TopicReader

_BEFORE = 3
_EVENTS = 2000


def test_debezium_drains_a_backlog_after_each_stop_and_copies_a_table(stack: Stack) -> None:
    with (
        peers(stack, ["debezium-tuned-avro"], scale=0) as (peer,),
        Database(stack, ["orders"]) as database,
    ):
        database.execute(orders(), insert_orders("orders", 10))
        peer.attach(database)
        load_orders(database, _BEFORE)
        for _ in range(2):
            peer.attach(database)
            cost = peer.drain(backlog(database, _EVENTS, load_orders))
            assert cost.seconds > 0
            assert cost.processor > cost.start_processor > 0
            assert cost.peak_rss > 100e6
            assert cost.backends > 0
        streamed = _BEFORE + 2 * _EVENTS
        in_table = 10 + streamed
        assert peer.snapshot(database, in_table).processor > 0

        (topic,) = peer.topics(database)
        registry = Registry(stack.registry_url)
        with contextlib.closing(registry):
            reader = TopicReader(stack.bootstrap_servers, {}, registry.schema)
            records: list[tuple[Any, Any]] = [
                (record.key, record.value) for record in reader.records([topic], once=True)
            ]
        columns = "id, customer, status, quantity, amount, reference, note, tags, extra::text"
        wanted = {
            row[0]: dict(zip((name.removesuffix("::text") for name in columns.split(", ")), row, strict=True))
            for row in database.rows(f"SELECT {columns} FROM orders ORDER BY id")
        }
        assert len(records) == streamed + in_table == Progress(stack, [topic]).records()
        for key, value in records:
            assert key == {"id": value["after"]["id"]}
            assert value["op"] in "cr"
            assert {name: value["after"][name] for name in wanted[key["id"]]} == wanted[key["id"]]
