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
from producer.decode.rewording import Rewording
from producer.errors import DecodeError
from producer.events import Relation
from producer.transcode.walker import KEY_CHANGE
from tests import tuples
from tests.golden.cases import Case
from tests.paths import Reader, Walk, Ways

FOLDER = Path(__file__).parent
_FIRST_OID = 16384
_STABLE_OID = 100_000
# As the records have them.
_LSN = 0x19B3E40
_RECORD_HEAD = b',"xid":745,"timestamp":"2026-11-22 10:25:46+00","lsn":"'
_HEADER = 25
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
    messages: list[bytes]
    """pgoutput's, of the same changes: what it said of the relation, and its rows."""
    others: dict[int, list[bytes]]
    """Those of other majors, by number, where they differ."""

    def save(self, folder: Path) -> None:
        """One thing a file; each is text, for a diff."""
        folder.mkdir(exist_ok=True)
        relation = msgspec.json.encode(self.relation, order="deterministic")
        (folder / "relation.json").write_bytes(msgspec.json.format(relation) + b"\n")
        (folder / "records.jsonl").write_bytes(b"".join(record + b"\n" for record in self.records))
        (folder / "rows.copy").write_bytes(b"".join(self.lines))
        for major, messages in ((None, self.messages), *self.others.items()):
            lines = [message.hex() + "\n" for message in messages]
            (folder / _messages_of(major)).write_text("".join(lines))

    @classmethod
    def load(cls, folder: Path) -> Captured:
        """What `save` wrote."""
        return cls(
            relation=msgspec.json.decode((folder / "relation.json").read_bytes(), type=Relation),
            records=(folder / "records.jsonl").read_bytes().splitlines(),
            lines=(folder / "rows.copy").read_bytes().splitlines(keepends=True),
            messages=_messages(folder / _messages_of(None)),
            others={
                int(path.stem.partition("-")[2]): _messages(path) for path in sorted(folder.glob(_messages_of("*")))
            },
        )


def _messages_of(major: int | str | None) -> str:
    return "messages.hex" if major is None else f"messages-{major}.hex"


def _messages(file: Path) -> list[bytes]:
    return [bytes.fromhex(line) for line in file.read_text().splitlines()]


def capture(reader: Reader, case: Case) -> Captured:
    """Make the case's table, do what is done to it, and read it on both paths; records where there is wal2json."""
    run = reader.connection.execute
    run(b'DROP SCHEMA IF EXISTS public, "int", "Q S" CASCADE; CREATE SCHEMA public')
    run(b"SET search_path = public")
    for statement in (*case.ddl, case.made):
        run(statement.encode())
    reader.begin()
    for statement in case.done:
        run(statement.encode())
    run(b"SET search_path = ''")
    records = reader.records(dict(case.options)) if reader.plugin == "wal2json" else []
    relation = reader.relations()["public", case.table]
    lines = reader.lines(relation, relation.key[0])
    messages = reader.messages()
    reader.end()
    return _stable(relation, [_as_strings(r) if case.numbers_as_strings else r for r in records], lines, messages)


def _as_strings(record: bytes) -> bytes:
    """As 2.6 prints it: the case holds no true null."""
    return re.sub(rb'"value":null', b'"value":"NaN"', re.sub(rb'"value":(-?[0-9][^,}]*)', rb'"value":"\1"', record))


def _stable(relation: Relation, records: list[bytes], lines: list[bytes], messages: list[bytes]) -> Captured:
    """With OIDs, LSN, xid and time that are the same at each capture."""
    whole = msgspec.json.encode(relation)
    oids = list(dict.fromkeys(int(oid) for oid in re.findall(rb'"oid":(\d+)', whole)))
    numbers = {oid: _STABLE_OID + place for place, oid in enumerate(o for o in oids if o >= _FIRST_OID)}
    # All at once: a number may be another type's OID.
    whole = re.sub(rb'(?<="oid":)\d+(?=,)', lambda found: b"%d" % numbers.get(int(found[0]), int(found[0])), whole)
    # A signed number, as this plugin prints it.
    typed = re.compile(rb'(?<="typeoid":)-?\d+')
    records = [
        typed.sub(lambda found: b"%d" % numbers.get(int(found[0]) & 0xFFFF_FFFF, int(found[0])), r) for r in records
    ]
    if numbers:
        binary = re.compile(b"|".join(re.escape(oid.to_bytes(4)) for oid in numbers), re.DOTALL)
        messages = [
            binary.sub(lambda found: numbers[int.from_bytes(found[0])].to_bytes(4), message) for message in messages
        ]
    for pattern, constant in _MOMENT:
        records = [re.sub(pattern, constant, record, count=1) for record in records]
    return Captured(
        relation=msgspec.json.decode(whole, type=Relation), records=records, lines=lines, messages=messages, others={}
    )


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
    return _walked(walk, found)


def told(
    build: dict[str, Any], captured: Captured, messages: list[bytes]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What becomes of pgoutput's rows: by the general path, and by the walker of tuples."""
    walk = Walk(build, captured.relation, ways=Ways(signed_oids=False))
    rewording = Rewording(lambda _told: captured.relation.primary or (), header=_HEADER)
    found = []
    for message in messages:
        whole = tuples.framed(message, _LSN)
        for record in rewording.read(whole, _RECORD_HEAD):
            assert isinstance(record, bytes)
            said = rewording.relation(captured.relation.oid)
            assert walk.walker.bind(said.logged.oid, said.names, list(said.heads), said.in_identity, said.tail)
            found.append((_of_record(walk, record[_HEADER:]), _of_tuple(walk, whole)))
    return found


def _of_tuple(walk: Walk, message: bytes) -> dict[str, Any]:
    try:
        code = walk.tuple(message, _HEADER)
    except walk.form_error:
        return {"refused": walk.plan.columns[walk.walker.column].name}
    return _walked(walk, {"code": code})


def _walked(walk: Walk, found: dict[str, Any]) -> dict[str, Any]:
    walker = walk.walker
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
