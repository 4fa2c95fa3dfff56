"""errors.tolerance=all: what no record can carry goes to the dead letters, and everything else goes on."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from producer.lsn import Lsn
from tests.harness import Command, Source, wait_for
from tests.letters import letters

ALL = {"errors.tolerance": "all"}
HEADERS = {
    *(f"__connect.errors.{name}" for name in ("topic", "exception.class.name", "exception.message")),
    *(f"__producer.{name}" for name in ("table", "column", "key", "lsn", "commit_lsn", "ordinal", "size", "truncated")),
}
TABLE = "CREATE TABLE t (id int PRIMARY KEY, v int[], w text)"
POISON = "'{{1,2},{3,4}}'"


def synced(command: Command, **more: str) -> str:
    """A tolerant sync run that succeeds; what it said."""
    settings = {**ALL, **{key.replace("_", "."): value for key, value in more.items()}}
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    assert "{1,2}" not in done.stderr, "no row's value is logged"
    return done.stderr


def events(command: Command) -> list[Any]:
    """The table's records: (operation or None for a tombstone, key, ordinal)."""
    records: list[Any] = list(command.records("public.t"))
    return [
        (record.value["op"], record.key and record.key["id"], record.value["source"]["ordinal"])
        if record.value
        else (None, record.key["id"], None)
        for record in records
    ]


@pytest.mark.parametrize(
    ("kind", "literal", "text"),
    [
        ("numeric", "'NaN'", None),  # as wal2json 2.5 prints it
        ("timestamp", "'294247-01-10 04:00:54.775807'", "294247-01-10 04:00:54.775807"),
        ("integer[]", POISON, "{{1,2},{3,4}}"),
        ("integer[]", "'[0:1]={7,8}'", "[0:1]={7,8}"),
    ],
)
def test_a_value_is_set_aside_on_both_paths(
    source: Source, command: Command, kind: str, literal: str, text: str | None
) -> None:
    """The letter's form; the rest goes on at the positions that it would have had; the slot moves on."""
    source.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {kind}, w text DEFAULT 'é\"')")
    synced(command)
    source.execute(f"INSERT INTO t VALUES (1, NULL), (2, {literal}), (3, NULL)")
    stopped = command.run("run", "--once")
    assert stopped.returncode == 4, stopped.stderr
    assert re.search("table public.t, column v, at [0-9A-F]+/[0-9A-F]+", stopped.stderr)
    assert re.search(r"\(position [0-9A-F]+/[0-9A-F]+:2, key column id\)", stopped.stderr)
    assert "errors.tolerance=all" in stopped.stderr
    before = source.confirmed_lsn()
    said = synced(command)
    assert "rows went to the dead letters" in said
    # The server may read our last word after we have ended.
    wait_for(lambda: Lsn.parse(source.confirmed_lsn() or "") > Lsn.parse(before or ""), what="the slot moves on")
    assert list(dict.fromkeys(events(command))) == [("c", 1, 1), ("c", 3, 3)]
    (letter,) = letters(command)
    assert letter.headers.keys() == HEADERS
    assert letter.key == {"id": 2}
    assert letter.row["id"] == 2
    assert letter.row["w"] == 'é"'
    assert letter.row["v"] == text or kind == "numeric"
    assert letter.ours("table", "column", "key", "ordinal", "truncated") == ("public.t", "v", '{"id":2}', "2", "false")
    assert letter.ours("size") == (str(len(letter.value)),)
    created: Any = command.records("public.t")[-1].value
    assert letter.ours("commit_lsn") == (str(Lsn(created["source"]["commit_lsn"])),)
    assert Lsn.parse(letter.headers["__producer.lsn"]) <= created["source"]["lsn"]
    assert letter.headers["__connect.errors.topic"] == f"{command.prefix}.public.t"
    assert letter.headers["__connect.errors.exception.class.name"] == "producer.errors.ConversionError"
    assert re.match(
        "table public.t, column v, at [0-9A-F]+/[0-9A-F]+", letter.headers["__connect.errors.exception.message"]
    )
    assert command.run("slot", "drop", "--yes").returncode == 0
    synced(command)
    _, copied = letters(command)
    assert copied.key == {"id": 2}
    assert copied.row == {"id": "2", "v": literal.strip("'"), "w": 'é"'}
    assert copied.ours("key", "ordinal", "truncated") == ('{"id":"2"}', "0", "false")
    assert copied.headers["__producer.lsn"] == copied.headers["__producer.commit_lsn"]
    assert "in the snapshot at" in copied.headers["__connect.errors.exception.message"]


def test_markers_are_for_rows_that_go_out(source: Source, command: Command) -> None:
    """First and last rows of a snapshot are poison: one first, one last all the same."""
    source.execute(
        TABLE,
        f"INSERT INTO t SELECT i, CASE WHEN i NOT IN (3, 4) THEN {POISON}::int[] END FROM generate_series(1, 6) i",
        "CREATE TABLE only_poison (id int PRIMARY KEY, v int[])", f"INSERT INTO only_poison VALUES (1, {POISON})",
    )  # fmt: skip
    synced(command)
    records: list[Any] = list(command.records())
    assert [(r.key["id"], r.value["source"]["snapshot"]) for r in records] == [(3, "first"), (4, "last")]
    assert len(letters(command)) == 5
    source.execute("INSERT INTO t VALUES (7)")
    synced(command)
    assert events(command)[-1] == ("c", 7, 1)


def test_changes_of_the_key(source: Source, command: Command) -> None:
    """The new row cannot be carried: its old key's delete is sent all the same, and both have their ordinals."""
    source.execute(TABLE, "INSERT INTO t VALUES (1, '{1}'), (2, '{2}'), (3, '{3}')")
    synced(command)
    source.execute(
        f"UPDATE t SET id = id + 10, v = CASE WHEN id = 2 THEN {POISON}::int[] ELSE v END",
        "DELETE FROM t WHERE id = 12",
    )
    synced(command)
    assert events(command)[3:] == [
        ("d", 1, 1), (None, 1, None), ("c", 11, 2), ("d", 2, 3), (None, 2, None),
        ("d", 3, 5), (None, 3, None), ("c", 13, 6), ("d", 12, 1), (None, 12, None),
    ]  # fmt: skip
    (letter,) = letters(command)
    assert letter.key == {"id": 12}
    assert letter.ours("key", "ordinal") == ('{"id":12}', "4")
    records: list[Any] = list(command.records("public.t"))
    headers = [[name for name, _ in record.headers] for record in records]
    assert headers[6] == ["__debezium.newkey"]


def test_old_rows_under_full_identity(source: Source, command: Command) -> None:
    """What is only in the old row does not keep the event back: a mended row arrives, a delete is a delete."""
    source.execute(TABLE, "ALTER TABLE t REPLICA IDENTITY FULL")
    synced(command)
    source.execute(
        f"INSERT INTO t SELECT i, {POISON}, 'w' FROM generate_series(1, 4) i",
        "UPDATE t SET v = '{1}' WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
        "UPDATE t SET id = 13, v = '{3}' WHERE id = 3",
        "UPDATE t SET id = 14 WHERE id = 4",
        "UPDATE t SET w = 'x' WHERE id = 1",
    )
    synced(command)
    records: list[Any] = list(command.records("public.t"))
    assert events(command) == [
        ("u", 1, 1), ("d", 2, 1), (None, 2, None), ("d", 3, 1), (None, 3, None), ("c", 13, 2),
        ("d", 4, 1), (None, 4, None), ("u", 1, 1),
    ]  # fmt: skip
    assert records[0].value["before"] is None
    assert records[0].value["after"] == {"id": 1, "v": [1], "w": "w"}
    assert records[1].value["before"] == {"id": 2, "v": None, "w": None}
    assert records[-1].value["before"] == {"id": 1, "v": [1], "w": "w"}
    found = letters(command)
    assert [letter.ours("ordinal")[0] for letter in found] == ["1", "2", "3", "4", "1", "1", "1", "1", "2"]
    assert [letter.key for letter in found] == [{"id": key} for key in (1, 2, 3, 4, 1, 2, 3, 4, 14)]
    assert all(letter.row["v"] == "{{1,2},{3,4}}" for letter in found)
    of_old_rows = [
        letter for letter in found if "in the old row" in letter.headers["__connect.errors.exception.message"]
    ]
    assert of_old_rows == found[4:8]


def test_a_null_in_a_key_column(source: Source, command: Command) -> None:
    """It has no key: neither has its letter."""
    source.execute("CREATE TABLE t (id int NOT NULL UNIQUE, w text)", "ALTER TABLE t REPLICA IDENTITY FULL")
    synced(command)
    source.execute(
        "ALTER TABLE t ALTER id DROP NOT NULL", "INSERT INTO t VALUES (1, 'w'), (NULL, 'x')",
        "UPDATE t SET id = 2 WHERE id = 1", "UPDATE t SET id = NULL WHERE id = 2",
        "DELETE FROM t", "ALTER TABLE t ALTER id SET NOT NULL",
        "INSERT INTO t VALUES (3)",
    )  # fmt: skip
    synced(command)
    assert events(command) == [
        ("c", 1, 1), ("d", 1, 1), (None, 1, None), ("c", 2, 2), ("d", 2, 1), (None, 2, None), ("c", 3, 1)
    ]  # fmt: skip
    found = letters(command)
    assert [letter.ours("column", "key") for letter in found] == [("id", '{"id":null}')] * 4
    assert all(letter.key is None for letter in found)


def test_an_old_key_that_cannot_be_made(source: Source, command: Command) -> None:
    """Its row gets a key: the delete is the letter, the create is sent, and nothing is missing."""
    source.execute("CREATE TABLE t (id int, w text)", "ALTER TABLE t REPLICA IDENTITY FULL")
    source.execute("CREATE TABLE n (id numeric PRIMARY KEY, w text, big text)")
    keyed = {"message_key_columns": r"public\.t:id"}
    synced(command, **keyed)
    source.execute(
        "INSERT INTO t VALUES (NULL, 'w')", "UPDATE t SET id = 2",
        "INSERT INTO n SELECT 'NaN', 'w', string_agg(md5(i::text), '') FROM generate_series(1, 300) i",
        "UPDATE n SET id = 7", "UPDATE n SET w = 'x'",
    )  # fmt: skip
    synced(command, **keyed)
    assert events(command) == [("c", 2, 2)]
    (created,) = command.records("public.t")
    assert not created.headers
    records: list[Any] = list(command.records("public.n"))
    assert [record.value["op"] for record in records] == ["c", "u"]
    assert records[0].value["source"]["ordinal"] == 2
    assert len(records[0].value["after"]["big"]) == 9600
    found = letters(command)
    assert [letter.ours("table", "column", "ordinal") for letter in found] == [
        ("public.t", "id", "1"), ("public.t", "id", "1"), ("public.n", "id", "1"), ("public.n", "id", "1"),
    ]  # fmt: skip
    assert all(letter.key is None for letter in found)
    assert ["in the old row" in letter.headers["__connect.errors.exception.message"] for letter in found] == [
        False, True, False, True,
    ]  # fmt: skip
    compared = command.run("verify", settings={**ALL, "message.key.columns": r"public\.t:id"})
    assert compared.returncode == 0, compared.stdout


@pytest.mark.wal2json
def test_a_key_that_wal2json_prints_as_null(source: Source, command: Command) -> None:
    """NaN in a numeric key: its letter does not disturb the rows that are read again with it."""
    source.execute("CREATE TABLE t (id numeric(4, 0) PRIMARY KEY, v float8)")
    synced(command)
    source.execute("INSERT INTO t VALUES (1, NULL), ('NaN', NULL), (2, 'NaN')")
    synced(command)
    assert events(command) == [("c", 1, 1), ("c", 2, 3)]
    (letter,) = letters(command)
    assert letter.key is None
    assert letter.ours("column", "key", "ordinal") == ("id", '{"id":null}', "2")


def test_a_row_that_nothing_explains(source: Source, command: Command) -> None:
    """Its column's type is gone. Keys and deletes need only the key; rows of today's shape go on."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, w text)", "ALTER TABLE t REPLICA IDENTITY FULL")
    synced(command)
    source.execute(
        "CREATE TYPE mood AS ENUM ('ok')", "ALTER TABLE t ADD COLUMN m mood",
        "INSERT INTO t VALUES (1, 'x', 'ok')", "UPDATE t SET id = 2", "DELETE FROM t", "ALTER TABLE t DROP COLUMN m",
        "DROP TYPE mood", "INSERT INTO t VALUES (3, 'y')",
    )  # fmt: skip
    assert command.run("run", "--once").returncode == 4
    synced(command)
    assert events(command) == [("d", 1, 1), (None, 1, None), ("d", 2, 1), (None, 2, None), ("c", 3, 1)]
    created, old, new, deleted = letters(command)
    assert created.row == old.row == {"id": 1, "m": "ok", "w": "x"}
    assert new.row == deleted.row == {"id": 2, "m": "ok", "w": "x"}
    assert [letter.key for letter in (created, old, new, deleted)] == [{"id": 1}, {"id": 1}, {"id": 2}, {"id": 2}]
    assert [letter.ours("ordinal") for letter in (created, old, new, deleted)] == [("1",), ("1",), ("2",), ("1",)]
    assert created.ours("table", "column", "key") == ("public.t", "m", '{"id":1}')


def test_a_partition_s_row_is_its_root_s(source: Source, command: Command) -> None:
    """Topic and table of the letter."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int[]) PARTITION BY RANGE (id)",
        "CREATE TABLE leaf PARTITION OF t FOR VALUES FROM (0) TO (10)",
    )
    synced(command)
    source.execute(f"INSERT INTO t VALUES (1, {POISON})")
    synced(command)
    (letter,) = letters(command)
    assert letter.ours("table") == ("public.t",)
    assert letter.headers["__connect.errors.topic"] == f"{command.prefix}.public.t"


def test_fail_of_unchanged_toast_follows_the_tolerance(source: Source, command: Command) -> None:
    """What the log holds of the row is in the letter: the unchanged value is absent."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n int, big text)", "ALTER TABLE t ALTER big SET STORAGE external"
    )
    source.execute("INSERT INTO t VALUES (1, 1, repeat('q', 3000))")
    synced(command)
    source.execute("UPDATE t SET n = 2", "UPDATE t SET big = 'small'")
    synced(command, unchanged_toast_handling="fail")
    assert events(command)[1:] == [("u", 1, 1)]
    (letter,) = letters(command)
    assert letter.row == {"id": 1, "n": 2}
    assert letter.ours("column") == ("big",)
    assert json.loads(letter.headers["__producer.key"]) == {"id": 1}


def test_a_letter_shows_nothing_that_is_masked_or_left_out(source: Source, command: Command) -> None:
    """On both paths, while the key is still made from a row that lacks columns."""
    source.execute(
        "CREATE TABLE t (secret text, id int, masked text, v int[], w text, PRIMARY KEY (w, id))",
        f"INSERT INTO t VALUES ('hidden', 1, 'hidden', {POISON}, 'x')",
    )
    more: dict[str, object] = {
        "column.exclude.list": r"public\.t\.secret",
        "column.mask.with.3.chars": r"public\.t\.masked",
    }
    first = command.run("run", "--once", settings={**ALL, **more})
    assert first.returncode == 0, first.stderr
    source.execute(f"INSERT INTO t VALUES ('hidden', 2, 'hidden', {POISON}, 'y')")
    second = command.run("run", "--once", settings={**ALL, **more})
    assert second.returncode == 0, second.stderr
    found = letters(command)
    assert [letter.row for letter in found] == [
        {"id": "1", "v": "{{1,2},{3,4}}", "w": "x"},
        {"id": 2, "v": "{{1,2},{3,4}}", "w": "y"},
    ]
    assert [letter.key for letter in found] == [{"w": "x", "id": 1}, {"w": "y", "id": 2}]


def test_a_truncate_of_a_table_that_is_gone(source: Source, command: Command) -> None:
    """No row was read of it in this stream; what it was is remembered."""
    source.execute(TABLE, "CREATE TABLE other (id int PRIMARY KEY)")
    synced(command)
    running = command.start("run", settings=ALL)
    running.wait_for("streaming")
    with source.connect() as session, session.transaction():
        session.execute("INSERT INTO other VALUES (1)")
        session.execute("TRUNCATE t")
        session.execute("DROP TABLE t")
        session.execute("INSERT INTO other VALUES (2)")
    wait_for(lambda: len(command.records("public.other")) == 2, what="both rows of the other table")
    assert running.stop() == 0
    others: list[Any] = list(command.records("public.other"))
    assert [record.value["source"]["ordinal"] for record in others] == [1, 3]
    assert events(command) == [("t", None, 2)]
    assert letters(command) == []
