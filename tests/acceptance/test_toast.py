"""Unchanged TOAST values: from the log where it holds them, else as unchanged.toast.handling says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.harness import Command, Source

BIG = "q" * 3000
# What cannot be stored out of line is never missing; `code` is large too, and in the identity index.
TABLE = (
    "CREATE DOMAIN story AS text",
    "CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL, n int, "
    "big text, raw bytea, s story, doc json, words text[])",
    *(f"ALTER TABLE t ALTER {column} SET STORAGE external" for column in ("code", "big", "raw", "s", "doc", "words")),
    "CREATE UNIQUE INDEX ON t (code)",
)
COLUMNS = ("big", "raw", "s", "doc", "words")
ROW = (
    f"INSERT INTO t VALUES (1, '{'c' * 2200}', 1, '{BIG}', decode(repeat('ab', 3000), 'hex'), '{BIG}', "
    f"'\"{BIG}\"', ARRAY['{BIG}'])"
)
VALUES = {"code": "c" * 2200, "big": BIG, "raw": b"\xab" * 3000, "s": BIG, "doc": f'"{BIG}"', "words": [BIG]}
# Table: its replica identity, and what the log then holds of an old row.
IDENTITIES = {
    "plain": ("DEFAULT", set[str]()),
    "indexed": ("USING INDEX indexed_code_idx", {"code"}),
    "whole": ("FULL", {"code", *COLUMNS}),
}
PLACEHOLDER = "__debezium_unavailable_value"


def synced(command: Command, **settings: str) -> None:
    """A sync run that succeeds."""
    done = command.run("run", "--once", settings={key.replace("_", "."): value for key, value in settings.items()})
    assert done.returncode == 0, done.stderr


def updates(command: Command, table: str = "public.t") -> list[tuple[Any, dict[str, str]]]:
    """Each update's new row, and how its values were found."""
    records: list[Any] = list(command.records(table))
    return [
        (record.value["after"], {k: v for name, value in record.headers for k, v in json.loads(value or b"").items()})
        for record in records
        if record.value and record.value["op"] == "u"
    ]


@pytest.mark.parametrize("handling", ["reselect", "placeholder", "null"])
def test_each_column_says_how_it_was_found(source: Source, command: Command, handling: str) -> None:
    """The log's own values first, in every mode; a type that cannot hold the placeholder is null."""
    source.execute(TABLE[0])
    for name, (identity, _) in IDENTITIES.items():
        statements = (*TABLE[1:], ROW, f"ALTER TABLE t REPLICA IDENTITY {identity}")
        source.execute(*(statement.replace(" t ", f" {name} ") for statement in statements))
    synced(command)
    for name in IDENTITIES:
        source.execute(f"UPDATE {name} SET n = 2, big = 'small'", f"UPDATE {name} SET n = 3")
    synced(command, unchanged_toast_handling=handling)
    for name, (_, logged) in IDENTITIES.items():
        found = updates(command, f"public.{name}")
        assert [after["n"] for after, _ in found] == [2, 3]
        for after, how in found:
            assert after["big"] == "small"
            assert how.keys() == {"code", *COLUMNS} - {"big"}
            for column, way in how.items():
                assert (way, after[column]) == _expected(column, handling, column in logged)


def _expected(column: str, handling: str, logged: bool) -> tuple[str, Any]:
    """How a column's value is found, and what it is."""
    if logged or handling == "reselect":
        return "before" if logged else "reselected", VALUES[column]
    if handling == "null" or column == "words":
        return "null", None
    return "placeholder", PLACEHOLDER.encode() if column == "raw" else PLACEHOLDER


@pytest.mark.parametrize("handling", ["placeholder", "null"])
def test_no_key_is_needed_when_nothing_is_read(source: Source, command: Command, handling: str) -> None:
    """The key has gone before the row is read; the row itself still tells what it was."""
    source.execute(*TABLE, "DROP INDEX t_code_idx", ROW)
    synced(command)
    source.execute("UPDATE t SET n = 2", "ALTER TABLE t DROP CONSTRAINT t_pkey")
    synced(command, unchanged_toast_handling=handling)
    ((after, how),) = updates(command)
    assert (after["n"], how["big"], how["words"]) == (2, handling, "null")


def test_fail_stops_and_goes_on_when_mended(source: Source, command: Command) -> None:
    """Exit 4 with table, columns and LSN; what the before-image holds does not fail."""
    source.execute(*TABLE, "ALTER TABLE t REPLICA IDENTITY FULL", ROW)
    synced(command)
    source.execute("UPDATE t SET n = 2")
    synced(command, unchanged_toast_handling="fail")
    source.execute("ALTER TABLE t REPLICA IDENTITY DEFAULT", "UPDATE t SET n = 3", "UPDATE t SET n = 4")
    for _ in range(2):
        done = command.run("run", "--once", settings={"unchanged.toast.handling": "fail"})
        assert done.returncode == 4, done.stderr
        assert re.search("table public.t, column code, big, raw, s, doc, words, at [0-9A-F]+/[0-9A-F]+", done.stderr)
        assert "unchanged.toast.handling=reselect" in done.stderr
        assert BIG not in done.stderr
    synced(command)
    assert [after["n"] for after, _ in updates(command)] == [2, 3, 4]


def test_a_column_dropped_before_its_row_is_read_again(source: Source, command: Command) -> None:
    """The others are read; the dropped one has left the shape."""
    source.execute(*TABLE, ROW)
    synced(command)
    source.execute("UPDATE t SET n = 2", "ALTER TABLE t DROP COLUMN doc")
    synced(command)
    ((after, how),) = updates(command)
    assert "doc" not in after
    assert set(how.values()) == {"reselected"}
    assert (after["big"], after["words"]) == (BIG, [BIG])


def test_a_column_renamed_before_its_row_is_read_again(source: Source, command: Command) -> None:
    """The row does not name it: it is read by its name of now, and so are the others."""
    source.execute(*TABLE, ROW)
    synced(command)
    source.execute(
        f"INSERT INTO t VALUES (2, 'x', 1, '{BIG}', '', '', '1', '{{}}')", "UPDATE t SET n = 2 WHERE id = 1",
        "ALTER TABLE t RENAME COLUMN doc TO document", "UPDATE t SET n = 3 WHERE id = 1",
        f"INSERT INTO t VALUES (3, 'y', 1, '{BIG}', '', '', '1', '{{}}')",
    )  # fmt: skip
    synced(command)
    for after, how in updates(command):
        assert set(how.values()) == {"reselected"}
        assert after["document"] == f'"{BIG}"'
        assert after["big"] == BIG
    records: list[Any] = list(command.records())
    assert "doc" in records[1].value["after"]
    assert "document" in records[-1].value["after"]


def test_a_large_key_finds_its_row(source: Source, command: Command) -> None:
    """The key itself is out of line: an update does not print it, its old row does."""
    source.execute(
        "CREATE TABLE t (k text PRIMARY KEY, n int, big text)",
        "ALTER TABLE t ALTER k SET STORAGE external", "ALTER TABLE t ALTER big SET STORAGE external",
        f"INSERT INTO t VALUES ('{'k' * 2200}', 1, '{BIG}')",
    )  # fmt: skip
    synced(command)
    source.execute("UPDATE t SET n = 2")
    synced(command)
    ((after, how),) = updates(command)
    assert how == {"k": "before", "big": "reselected"}
    assert after == {"k": "k" * 2200, "n": 2, "big": BIG}


@pytest.mark.parametrize("handling", ["null", "placeholder"])
def test_a_number_that_null_stands_for(source: Source, command: Command, handling: str) -> None:
    """It hides no NaN, and is not read again; a null that may hide one still is."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, big numeric, n numeric, v text)",
        "ALTER TABLE t ALTER big SET STORAGE external",
    )
    synced(command, unchanged_toast_handling=handling)
    source.execute("INSERT INTO t VALUES (1, repeat('9', 9000)::numeric, 1)", "UPDATE t SET v = 'x'")
    source.execute("UPDATE t SET n = NULL")
    synced(command, unchanged_toast_handling=handling)
    records: list[Any] = list(command.records("public.t"))
    for record in records[1:]:
        assert record.value["after"]["big"] is None
        assert json.loads(dict(record.headers)["__producer.unchanged"]) == {"big": "null"}
        assert json.loads(dict(record.headers).get("__producer.reread", b"[]")) in ([], ["n"])
    assert "__producer.reread" not in dict(records[1].headers)
