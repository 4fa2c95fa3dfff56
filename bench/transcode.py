"""`python -m bench.transcode`: microseconds a row for the walker alone, no server.

The orders table of the other workloads: 11 columns, about 690 bytes of JSON. The machine is shared,
so the least of several runs counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from producer.events import Column, PgType, Relation
from producer.lsn import Lsn
from producer.schema.plan import table_plan
from producer.schema.types import Modes
from producer.transcode.fast_path import FULL, FastPath
from producer.transcode.plan import TablePlan
from producer.transcode.source_block import SourceBlock, times
from producer.transcode.walker import DELETE, RECORD, Walker, compiled

# XLogData's header stands before every record.
_START = 25
_HEAD = b',"xid":745,"timestamp":"2026-11-22 10:25:46.245855+00","lsn":"'
_ROW_LSN = "0/19B3E40"
# Messages to a call of the fast path.
_CALL = 1000
_NOTE = "Left with the neighbour at number 12; the bell is broken, please knock"
# (column, type, OID, type modifier, what PostgreSQL prints, bare in JSON)
_ORDER: list[tuple[str, str, int, int, str, bool]] = [
    ("id", "int8", 20, -1, "4815162342", True),
    ("customer", "int4", 23, -1, "123456", True),
    ("status", "text", 25, -1, "shipped", False),
    ("quantity", "int4", 23, -1, "3", True),
    ("amount", "numeric", 1700, ((12 << 16) | 2) + 4, "17636.71", True),
    ("reference", "text", 25, -1, "ref-123456", False),
    ("note", "text", 25, -1, _NOTE, False),
    ("created", "timestamptz", 1184, -1, "2026-11-22 10:25:46.245855+00", False),
    ("updated", "timestamp", 1114, -1, "2026-11-22 10:25:46.245855", False),
    ("tags", "_text", 1009, -1, '{red,green,"big blue"}', False),
    ("extra", "jsonb", 3802, -1, '{"a": 1, "b": "text", "c": [1, 2, 3]}', False),
]


def main() -> None:
    """Time inserts, updates, deletes and copied rows; then inserts in a call of the fast path, nothing behind it."""
    parser = argparse.ArgumentParser(prog="python -m bench.transcode", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="rows of a run")
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    rows = max(_CALL, arguments.rows if compiled else arguments.rows // 50)
    plan, walker = _plan(), Walker()
    walker.install(plan)
    block = SourceBlock(version="0.1.0", name="shop", database="bench")
    parts = block.transaction(
        record_head=_HEAD, xid=745, commit_lsn=Lsn(26951328), commit_us=1795343146245855, previous=Lsn(24023119)
    )
    walker.begin(parts)
    walker.clock(times(1795343146300000))
    columns = ",".join(_json(*column) for column in _ORDER)
    old = _json(*_ORDER[0])
    insert, update, delete = (
        _message("I", f',"columns":[{columns}]'),
        _message("U", f',"columns":[{columns}],"identity":[{old}]'),
        _message("D", f',"identity":[{old}]'),
    )
    copied = ("\t".join(text.replace("\\", "\\\\") for *_, text, _ in _ORDER) + "\n").encode()
    assert walker.row(insert, _START, 1) == walker.row(update, _START, 1) == RECORD
    assert walker.row(delete, _START, 1) == DELETE
    print(f"{'compiled' if compiled else 'UNCOMPILED'}, least of {arguments.runs} runs of {rows:,} rows")
    works: list[tuple[str, int, Callable[[], object]]] = [
        ("insert", len(insert) - _START, lambda: walker.row(insert, _START, 1)),
        ("update", len(update) - _START, lambda: walker.row(update, _START, 1)),
        ("delete", len(delete) - _START, lambda: walker.row(delete, _START, 1)),
        ("copied row", len(copied), lambda: walker.copy_row(copied, plan, 26951328)),
    ]
    for name, size, work in works:
        print(f"{name:12}{size:6} bytes{_least(work, rows, arguments.runs):8.3f} us")
    path = FastPath(walker, block, set(), previous=None, tombstones=True)
    path.begin(record_head=_HEAD, xid=745, commit_lsn=26951328, next_lsn=26951400, commit_us=1795343146245855)
    call = len(insert), memoryview(b"w" + insert[1:])
    assert path.run(lambda _: call, _nowhere, _nowhere, _CALL, 1 << 40) == FULL
    whole = _least(lambda: path.run(lambda _: call, _nowhere, _nowhere, _CALL, 1 << 40), rows // _CALL, arguments.runs)
    print(f"{'in a call':12}{len(insert) - _START:6} bytes{whole / _CALL:8.3f} us")


def _nowhere(*_: object) -> None:
    """In the place of Kafka's client."""


def _least(work: Callable[[], object], rows: int, runs: int) -> float:
    """Microseconds a row, the loop's own cost included."""
    best = float("inf")
    for _ in range(runs):
        began = time.perf_counter()
        for _ in range(rows):
            work()
        best = min(best, time.perf_counter() - began)
    return best / rows * 1e6


def _plan() -> TablePlan:
    text = PgType(oid=25, schema="pg_catalog", name="text", kind="base")
    columns = tuple(
        Column(
            name=name,
            attnum=number,
            type=PgType(
                oid=oid, schema="pg_catalog", name=type_name, kind="base",
                category="A" if type_name == "_text" else "U", element=text if type_name == "_text" else None,
            ),
            typmod=typmod,
            dimensions=int(type_name == "_text"),
            not_null=name == "id",
        )
        for number, (name, type_name, oid, typmod, _, _) in enumerate(_ORDER, start=1)
    )  # fmt: skip
    relation = Relation(
        oid=1, schema="public", name="orders", columns=columns, key=("id",), identity="default",
        identity_columns=frozenset({"id"}),
    )  # fmt: skip
    return table_plan(relation, topic="shop.public.orders", key_id=1, value_id=2, modes=Modes())


def _json(name: str, _type: str, oid: int, _typmod: int, text: str, bare: bool) -> str:
    shown = text if bare else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f'{{"name":"{name}","typeoid":{oid},"value":{shown}}}'


def _message(action: str, rest: str) -> bytes:
    head = '{"action":"' + action + '"' + _HEAD.decode() + _ROW_LSN + '","schema":"public","table":"orders"'
    return b"\x00" * _START + (head + rest + "}").encode()


if __name__ == "__main__":
    main()
