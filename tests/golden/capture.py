"""Capturing a case from a server, and walking what was captured."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from producer.decode import wal2json
from producer.errors import DecodeError
from producer.events import Relation
from producer.transcode.walker import KEY_CHANGE
from tests.golden.cases import Case
from tests.paths import Reader, Walk

FOLDER = Path(__file__).parent
_FIRST_OID = 16384
_STABLE_OID = 100_000
_MOMENT = (
    (rb'"xid":\d+', b'"xid":745'),
    (rb'"timestamp":"[^"]*"', b'"timestamp":"2026-11-22 10:25:46+00"'),
    (rb'"lsn":"[^"]*"', b'"lsn":"0/19B3E40"'),
)


@dataclass(frozen=True, kw_only=True)
class Captured:
    """What a server gave: records and lines in their order."""

    relation: Relation
    records: list[bytes]
    lines: list[bytes]

    def save(self, folder: Path) -> None:
        """One thing a file; each is text, for a diff."""
        folder.mkdir(exist_ok=True)
        relation = msgspec.json.encode(self.relation, order="deterministic")
        (folder / "relation.json").write_bytes(msgspec.json.format(relation) + b"\n")
        (folder / "records.jsonl").write_bytes(b"".join(record + b"\n" for record in self.records))
        (folder / "rows.copy").write_bytes(b"".join(self.lines))

    @classmethod
    def load(cls, folder: Path) -> Captured:
        """What `save` wrote."""
        return cls(
            relation=msgspec.json.decode((folder / "relation.json").read_bytes(), type=Relation),
            records=(folder / "records.jsonl").read_bytes().splitlines(),
            lines=(folder / "rows.copy").read_bytes().splitlines(keepends=True),
        )


def capture(reader: Reader, case: Case) -> Captured:
    """Make the case's table, do what is done to it, and read it on both paths."""
    run = reader.connection.execute
    run(b'DROP SCHEMA IF EXISTS public, "int", "Q S" CASCADE; CREATE SCHEMA public')
    run(b"SET search_path = public")
    for statement in (*case.ddl, case.made):
        run(statement.encode())
    reader.begin()
    for statement in case.done:
        run(statement.encode())
    run(b"SET search_path = ''")
    records = reader.records(dict(case.options))
    relation = reader.relations()["public", case.table]
    lines = reader.lines(relation, relation.key[0])
    reader.end()
    return _stable(relation, [_as_strings(r) if case.numbers_as_strings else r for r in records], lines)


def _as_strings(record: bytes) -> bytes:
    """As 2.6 prints it: the case holds no true null."""
    return re.sub(rb'"value":null', b'"value":"NaN"', re.sub(rb'"value":(-?[0-9][^,}]*)', rb'"value":"\1"', record))


def _stable(relation: Relation, records: list[bytes], lines: list[bytes]) -> Captured:
    """With OIDs, LSN, xid and time that are the same at each capture."""
    whole = msgspec.json.encode(relation)
    oids = list(dict.fromkeys(int(oid) for oid in re.findall(rb'"oid":(\d+)', whole)))
    numbers = {oid: _STABLE_OID + place for place, oid in enumerate(o for o in oids if o >= _FIRST_OID)}
    for oid, number in numbers.items():
        whole = whole.replace(b'"oid":%d,' % oid, b'"oid":%d,' % number)
        records = [record.replace(b'"typeoid":%d,' % oid, b'"typeoid":%d,' % number) for record in records]
    for pattern, constant in _MOMENT:
        records = [re.sub(pattern, constant, record, count=1) for record in records]
    return Captured(relation=msgspec.json.decode(whole, type=Relation), records=records, lines=lines)


def outcome(build: dict[str, Any], captured: Captured) -> dict[str, Any]:
    """What becomes of a case's records and lines, as JSON."""
    walk = Walk(build, captured.relation)
    return {
        "records": [_of_record(walk, record) for record in captured.records],
        "lines": [_of_line(walk, line) for line in captured.lines],
    }


def _of_record(walk: Walk, record: bytes) -> dict[str, Any]:
    walker = walk.walker
    try:
        decoded = wal2json.decode(record)
    except DecodeError:
        return {"unreadable": True, "code": walk.record(record)}
    assert isinstance(decoded, wal2json.RowShape)
    found: dict[str, Any] = {"columns": [column.name for column in decoded.columns]}
    try:
        found["code"] = walk.record(record)
    except walk.form_error:
        return {**found, "refused": walk.plan.columns[walker.column].name}
    if found["code"]:
        found |= {"suspects": walker.suspects, **_event(walk, walker.key, walker.value)}
    if found["code"] == KEY_CHANGE:
        found["old"] = _event(walk, walker.old_key, walker.old_value)
    return found


def _of_line(walk: Walk, line: bytes) -> dict[str, Any]:
    try:
        walk.line(line, 0)
    except walk.form_error:
        return {"refused": walk.plan.columns[walk.walker.column].name}
    return _event(walk, walk.walker.key, walk.walker.value)


def _event(walk: Walk, key: bytes, value: bytes) -> dict[str, Any]:
    """Bytes in hexadecimal digits, and what a consumer decodes but for the source block."""
    decoded = walk.decoded(value)
    shown = {name: readable(decoded[name]) for name in ("op", "before", "after")}
    return {"key": key.hex(), "key_decoded": readable(walk.decoded_key(key)), "value": value.hex(), **shown}


def readable(value: Any) -> Any:
    """As JSON that tells kinds apart."""
    if isinstance(value, dict):
        return {name: readable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [readable(item) for item in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    return {"double": repr(value)} if isinstance(value, float) and not math.isfinite(value) else value
