"""What pgoutput of each server version says of one history: every kind of message, as it was sent.

A file is of the first version that says so: later ones are named beside it, in `versions.json`, where theirs differ by
no more than LSNs, times, xids and OIDs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from producer.decode import pgoutput
from producer.decode.pgoutput import LoggedRelation
from producer.decode.rewording import Rewording
from producer.lsn import Lsn
from producer.source.wire import connect
from tests import tuples
from tests.harness import Source

FOLDER = Path(__file__).parent / "streams"
VERSIONS = FOLDER / "versions.json"
KINDS = frozenset("BCRIUDTMOY")
_FIRST_OID = 16384
_HEADER = 25
_RECORD_HEAD = b',"xid":745,"lsn":"'
_GENERATED_SINCE = 120000
_ROOTS_SINCE = 130000
_GENERATED_TOLD_SINCE = 180000

_MADE = (
    'CREATE SCHEMA "Q S"',
    'CREATE TYPE "Q S"."My.Enum" AS ENUM (\'x\', \'y "z"\')',
    "CREATE DOMAIN posint AS int",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE TABLE a (id int PRIMARY KEY, v text, price numeric(6,2), code varchar(5), f float8)",
    "CREATE TABLE b (id int PRIMARY KEY, code text NOT NULL, n int)",
    "CREATE UNIQUE INDEX b_code ON b (code)",
    'CREATE TABLE "Q S"."T é" (id int PRIMARY KEY, e "Q S"."My.Enum", es "Q S"."My.Enum"[], d posint, p pair)',
    "CREATE TABLE toasted (id int PRIMARY KEY, n int, big text)",
    "ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL",
    "INSERT INTO toasted VALUES (1, 1, repeat('x', 3000))",
    "CREATE TABLE root (id int, v text) PARTITION BY RANGE (id)",
    "CREATE TABLE leaf PARTITION OF root (PRIMARY KEY (id)) FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE quiet (id int PRIMARY KEY)",
    "SELECT pg_replication_origin_create('elsewhere')",
)
# A string is a transaction.
_DONE = (
    "INSERT INTO a VALUES (1, 'é\n\\', 12.50, 'c', 'NaN'), (2, '', NULL, NULL, -1e-7); "
    "INSERT INTO b VALUES (1, 'one', NULL)",
    "UPDATE a SET v = 'w' WHERE id = 1; UPDATE a SET id = 3 WHERE id = 2; DELETE FROM a WHERE id = 3",
    "INSERT INTO quiet VALUES (1)",
    """INSERT INTO "Q S"."T é" VALUES (1, 'y "z"', '{x,NULL}', 7, '(1,"b c")')""",
    "UPDATE toasted SET n = 2; UPDATE toasted SET id = 2",
    "ALTER TABLE a REPLICA IDENTITY FULL, ADD more boolean",
    "UPDATE a SET more = true; DELETE FROM a",
    "ALTER TABLE b REPLICA IDENTITY USING INDEX b_code",
    "UPDATE b SET code = 'two'; DELETE FROM b",
    "ALTER TABLE b REPLICA IDENTITY NOTHING",
    "INSERT INTO b VALUES (2, 'three', 3)",
    "INSERT INTO root VALUES (1, 'in a partition')",
    "TRUNCATE a, b",
    "TRUNCATE a RESTART IDENTITY CASCADE",
    "SELECT pg_logical_emit_message(true, 'prefix é', '\\x00ff61'::bytea)",
    "SELECT pg_logical_emit_message(false, '', 'outside of transactions')",
    "SELECT pg_replication_origin_session_setup('elsewhere')",
    "SELECT pg_replication_origin_xact_setup('1/2345678', '2020-01-01 00:00:00+00'); "
    "INSERT INTO b VALUES (3, 'four', 4)",
)  # fmt: skip

Messages = list[tuple[Lsn, bytes]]


def capture(source: Source) -> Messages:
    """What the server says of the history, each message with its LSN."""
    with source.connect() as session:
        version = session.info.server_version
        leaf = "root" if version >= _ROOTS_SINCE else "leaf"
        options = " WITH (publish_generated_columns = stored)" if version >= _GENERATED_TOLD_SINCE else ""
        made = [*_MADE, f'CREATE PUBLICATION p FOR TABLE a, b, "Q S"."T é", toasted, {leaf}{options}']
        done = [*_DONE]
        if version >= _GENERATED_SINCE:
            made += [
                "CREATE TABLE made (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)",
                "ALTER PUBLICATION p ADD TABLE made",
            ]
            done.append("INSERT INTO made VALUES (1)")
        for statement in (*made, f"SELECT pg_create_logical_replication_slot('{source.slot}', 'pgoutput')", *done):
            session.execute(statement.encode())
    # A session that is pinned as the producer's.
    with connect(source.server()) as session:
        asked = pgoutput.options(["p"], messages=version >= pgoutput.MESSAGES_SINCE)
        found = session.execute(
            b"SELECT lsn::text, encode(data, 'hex') "
            b"FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, VARIADIC %s::text[])",
            (source.slot, [part for pair in asked.items() for part in pair]),
        ).fetchall()
        session.execute(b"SELECT pg_drop_replication_slot(%s)", (source.slot,))
        session.execute(b"SELECT pg_replication_origin_drop('elsewhere')")
    return [(Lsn.parse(str(lsn)), bytes.fromhex(str(data))) for lsn, data in found]


def keep(captured: Mapping[int, tuple[str, Messages]]) -> None:
    """By major: the server's version, and what it said. What was kept of the same stays, with its own numbers."""
    versions: dict[str, str] = {}
    kept: dict[str, list[bytes]] = {}
    for major, (version, messages) in captured.items():
        now = masked(messages)
        versions[version] = name = next((name for name, said in kept.items() if said == now), str(major))
        if name in kept:
            continue
        kept[name] = now
        if not (FOLDER / f"{name}.hex").exists() or masked(load(name)) != now:
            (FOLDER / f"{name}.hex").write_text("".join(f"{lsn} {message.hex()}\n" for lsn, message in messages))
        # A message a line here, too.
        read = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in outcome(load(name)))
        (FOLDER / f"{name}.json").write_text(f"[\n{read}\n]\n")
    for path in FOLDER.iterdir():
        if path != VERSIONS and path.stem not in kept:
            path.unlink()
    VERSIONS.write_text(json.dumps(versions, indent=1) + "\n")


def load(name: str) -> Messages:
    """What was sent."""
    lines = (line.split() for line in (FOLDER / f"{name}.hex").read_text().splitlines())
    return [(Lsn.parse(lsn), bytes.fromhex(message)) for lsn, message in lines]


def outcome(messages: Messages) -> list[dict[str, Any]]:
    """What is read of each message, as JSON; of a row also its record on the general path."""
    rewording = Rewording(lambda _told: [("id", 23)], header=_HEADER)
    found = []
    for lsn, message in messages:
        whole = tuples.framed(message, lsn)
        decoded = pgoutput.decode(whole, _HEADER)
        entry = {"is": type(decoded).__name__, **_readable(asdict(decoded))}
        told = list(rewording.read(whole, _RECORD_HEAD))
        records = [json.loads(record[_HEADER:]) for record in told if isinstance(record, bytes)]
        found.append({**entry, "record": records[0]} if records else entry)
    return found


def masked(messages: Messages) -> list[bytes]:
    """Messages with LSNs, times, xids and OIDs that are the same wherever they were captured."""
    oids: dict[int, None] = {}
    for _, message in messages:
        decoded = pgoutput.decode(message)
        if isinstance(decoded, LoggedRelation):
            oids |= dict.fromkeys((decoded.oid, *(column.type_oid for column in decoded.columns)))
        elif message[:1] == b"Y":
            oids[int.from_bytes(message[1:5])] = None
    numbers = [oid.to_bytes(4) for oid in oids if oid >= _FIRST_OID]
    any_of = re.compile(b"|".join(map(re.escape, numbers)), re.DOTALL)
    # Where a kind has its moment.
    moments = {b"B": slice(1, 21), b"C": slice(2, 26), b"M": slice(2, 10)}
    found = []
    for _, message in messages:
        still = bytearray(any_of.sub(lambda oid: b"oid%c" % numbers.index(oid[0]), message))
        moment = moments.get(message[:1], slice(0))
        still[moment] = bytes(len(still[moment]))
        found.append(bytes(still))
    return found


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _readable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    if isinstance(value, Lsn):
        return str(value)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return {"unchanged": value.name} if isinstance(value, Enum) else value
