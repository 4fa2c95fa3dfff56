"""Masked columns: the text appears nowhere, on either path, in no image, header or log."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.harness import Command, Source

SECRET = "hunter2-äöü😀"
SETTINGS: dict[str, object] = {
    "column.mask.with.4.chars": r"public\.t\.(masked|age)",
    "column.mask.hash.SHA-256.with.salt.p.q": r"public\.t\.old",
    "column.mask.hash.v2.SHA3-256.with.salt.p.q": r"public\.t\.(new|short|tags)",
    "column.truncate.to.3.chars": r"public\.t\.(cut|raw)",
}


def _raw(command: Command, topic: str) -> bytes:
    """Every byte of a topic: keys, values, headers."""
    consumer = Consumer(
        {"bootstrap.servers": command.bootstrap_servers, "group.id": "raw", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = b""
    while True:
        message = consumer.poll(10)
        assert message is not None
        if message.error():
            consumer.close()
            return found
        headers: Any = message.headers() or []
        found += (message.key() or b"") + (message.value() or b"") + b"".join(value for _, value in headers)


def test_both_paths_and_both_images(source: Source, command: Command) -> None:
    """Snapshot, stream, before-images, values that are read again; NULL is masked, but not hashed."""
    source.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE DOMAIN mail AS varchar(6)",
        "CREATE TABLE t (id int PRIMARY KEY, n int, masked text, old text, new text, short mail, cut text, raw bytea)",
        "ALTER TABLE t ALTER COLUMN new SET STORAGE external",
        f"INSERT INTO t VALUES (1, 0, '{SECRET}', '{SECRET}', '{SECRET}' || repeat('x', 3000), 'hunter', "
        rf"'{SECRET}', '\x0102030405')",
        "INSERT INTO t VALUES (2)",
    )
    said = command.run("run", "--once", settings=SETTINGS)
    assert said.returncode == 0, said.stderr
    source.execute("UPDATE t SET n = 1 WHERE id = 1")
    done = command.run("run", "--once", settings=SETTINGS)
    assert done.returncode == 0, done.stderr
    source.execute("ALTER TABLE t REPLICA IDENTITY FULL", "UPDATE t SET n = 2 WHERE id = 1", "DELETE FROM t")
    done = command.run("run", "--once", settings=SETTINGS)
    assert done.returncode == 0, done.stderr
    text = SECRET.encode()
    java = b"\xac\xed\x00\x05\x74\x00\x14hunter2-" + "äöü".encode() + b"\xed\xa0\xbd\xed\xb8\x80"
    whole = {
        "masked": "****",
        "old": hashlib.sha256(b"p.q" + java).hexdigest(),
        "new": hashlib.sha3_256(b"p.q" + text + b"x" * 3000).hexdigest(),
        "short": hashlib.sha3_256(b"p.qhunter").hexdigest()[:6],
        "cut": "hun",
        "raw": b"\x01\x02\x03",
    }
    empty = {**dict.fromkeys(whole), "masked": "****"}
    records: list[Any] = [record for record in command.records("public.t") if record.value]
    assert [(r.value["op"], r.value["before"], r.value["after"]) for r in records] == [
        ("r", None, {"id": 1, "n": 0, **whole}),
        ("r", None, {"id": 2, "n": None, **empty}),
        ("u", None, {"id": 1, "n": 1, **whole}),
        ("u", {"id": 1, "n": 1, **whole}, {"id": 1, "n": 2, **whole}),
        ("d", {"id": 2, "n": None, **empty}, None),
        ("d", {"id": 1, "n": 2, **whole}, None),
    ]
    assert json.loads(dict(records[2].headers)["__producer.unchanged"]) == {"new": "reselected"}
    everything = _raw(command, f"{command.prefix}.public.t") + said.stderr.encode() + done.stderr.encode()
    assert b"hunter2" not in everything
    assert b"p.q" not in everything


def test_what_is_not_masked_is_told(source: Source, command: Command) -> None:
    """A number, an array, a key column, and an expression that names nothing: at the start and by `check`."""
    source.execute(
        "CREATE TABLE t (masked text PRIMARY KEY, age int, tags text[])", "INSERT INTO t VALUES ('k', 1, '{a}')"
    )
    findings = json.loads(command.run("check", "--json", settings=SETTINGS).stdout)["findings"]
    told = [finding["detail"] for finding in findings if finding["name"] == "columns"]
    hashed = "column.mask.hash.v2.SHA3-256.with.salt.********"
    assert sorted(told) == sorted([
        "column.mask.with.4.chars names public.t.masked, a key column: the records' keys hold it as it is",
        "column.mask.with.4.chars names public.t.age, whose type int4 it does not apply to: its values are sent as "
        "they are",
        f"{hashed} names public.t.tags, whose type _text it does not apply to: its values are sent as they are",
        "column.mask.hash.SHA-256.with.salt.******** names no column of a selected table",
        "column.truncate.to.3.chars names no column of a selected table",
    ])  # fmt: skip
    done = command.run("run", "--once", settings=SETTINGS)
    assert done.returncode == 0, done.stderr
    for line in told:
        assert line in done.stderr
    source.execute("UPDATE t SET masked = 'l'", "UPDATE t SET age = 2")
    assert command.run("run", "--once", settings=SETTINGS).returncode == 0
    records: list[Any] = command.records("public.t")
    row = {"masked": "****", "age": 1, "tags": ["a"]}
    old = {"masked": "****", "age": None, "tags": None}
    assert [(r.key["masked"], r.value and (r.value["op"], r.value["before"], r.value["after"])) for r in records] == [
        ("k", ("r", None, row)),
        ("k", ("d", old, None)),
        ("k", None),
        ("l", ("c", None, row)),
        ("l", ("u", None, {**row, "age": 2})),
    ]
