"""What one transaction's rows do to a reading beside the stream."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from producer.decode.rewording import Rewording
from producer.events import Column, PgType, Relation
from producer.lsn import Lsn
from producer.pipeline.progress import Progress
from producer.pipeline.snapshot.later import Reading
from producer.pipeline.stream.dialects import Records
from producer.pipeline.stream.transactions import Transactions
from producer.schema.plan import table_plan
from producer.schema.types import Modes
from producer.sink.memory import MemorySink
from producer.sink.offsets import Offset, OffsetsTopic
from tests import tuples
from tests.connector import StillClock, connector
from tests.tuples import framed

OURS, FOREIGN = 7, 8
NUMBER = Column(name="n", attnum=1, type=PgType(oid=23, schema="pg_catalog", name="int4", kind="base"))
BEGIN = b'{"action":"B","xid":745,"timestamp":"2026-11-22 10:25:46+00","lsn":"0/10","nextlsn":"0/20"}'


def _relation(oid: int) -> Relation:
    return Relation(
        oid=oid, schema="public", name=f"t{oid}", columns=(NUMBER,), key=(), identity="full",
        identity_columns=frozenset({"n"}), primary=(),
    )  # fmt: skip


def _transactions(reading: Reading) -> Transactions:
    """Of a stream whose only table has no key."""
    clock, sink = StillClock(), MemorySink(partitions={"t": 1, "offsets": 1})
    made = connector(clock)
    plan = table_plan(_relation(OURS), topic="t", key_id=None, value_id=1, modes=Modes(), signed_oids=False)
    made.walker.install(plan)
    start = Offset(lsn=Lsn(1), slot="s", system_id="1", timeline=1)
    stages: dict[str, Any] = {
        "tables": SimpleNamespace(wants=lambda *_: False), "catalog": None, "completion": None, "emptied": None,
        "comparisons": None, "later": SimpleNamespace(reading=reading, due=lambda _: False),
    }  # fmt: skip
    progress = Progress(OffsetsTopic(sink, "offsets", name="n", server="p"), start, clock)
    return Transactions(
        connector=made, sink=sink, progress=progress, dialect=Records(), previous_commit=None, **stages
    )  # fmt: skip


def test_a_row_of_another_table_disturbs_no_reading() -> None:
    """A table without a key is read again once it was changed; what the walker walked last is not the row's table."""
    reading = Reading(cast("Any", None), "t", False, cast("Any", None), "700:700:", Lsn(7))
    transactions = _transactions(reading)
    transactions.take(framed(BEGIN))
    rewording = Rewording(lambda _: (), header=25)
    for change in (
        tuples.told(_relation(OURS)), tuples.told(_relation(FOREIGN)), tuples.insert(OURS, [b"1"]),
        tuples.update(FOREIGN, [b"2"], [b"1"], b"O"),
    ):  # fmt: skip
        for row in rewording.read(framed(change), transactions.record_head):
            transactions.take(cast("bytes", row))
    assert not reading.disturbed
    (row,) = rewording.read(framed(tuples.update(OURS, [b"2"], [b"1"], b"O")), transactions.record_head)
    transactions.take(cast("bytes", row))
    assert reading.disturbed
