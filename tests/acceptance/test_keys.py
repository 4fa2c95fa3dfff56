"""Keys: the rule of the contract, table by table; keys of one's own, and what the log does not hold of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness import Command, Source

# Statements, and the key's columns in their order.
RULES: dict[str, tuple[list[str], list[str] | None]] = {
    "pk_in_key_order": (["CREATE TABLE {t} (a int, b int, c int, PRIMARY KEY (c, a))"], ["c", "a"]),
    "pk_with_include": (["CREATE TABLE {t} (a int, b int, PRIMARY KEY (a) INCLUDE (b))"], ["a"]),
    "pk_under_full": (["CREATE TABLE {t} (a int PRIMARY KEY)", "ALTER TABLE {t} REPLICA IDENTITY FULL"], ["a"]),
    "pk_under_nothing": (["CREATE TABLE {t} (a int PRIMARY KEY)", "ALTER TABLE {t} REPLICA IDENTITY NOTHING"], ["a"]),
    "identity_index": (
        ["CREATE TABLE {t} (a int PRIMARY KEY, b int NOT NULL, c int NOT NULL)",
         "CREATE UNIQUE INDEX {t}_i ON {t} (c, b) INCLUDE (a)",
         "ALTER TABLE {t} REPLICA IDENTITY USING INDEX {t}_i"], ["c", "b"]),
    "unique_not_null": (["CREATE TABLE {t} (a int, b int NOT NULL UNIQUE)"], ["b"]),
    "unique_with_nulls": (["CREATE TABLE {t} (a int UNIQUE)"], None),
    "nulls_not_distinct": (["CREATE TABLE {t} (a int, UNIQUE NULLS NOT DISTINCT (a))"], None),
    "partial_index": (["CREATE TABLE {t} (a int NOT NULL)", "CREATE UNIQUE INDEX ON {t} (a) WHERE a > 0"], None),
    "expression_index": (["CREATE TABLE {t} (a int NOT NULL)", "CREATE UNIQUE INDEX ON {t} ((a + 1))"], None),
    "deferrable_unique": (["CREATE TABLE {t} (a int NOT NULL UNIQUE DEFERRABLE)"], None),
    # Two rows may hold the same key for a moment: the last event of a key may be the other's delete.
    "deferrable_pk": (["CREATE TABLE {t} (a int PRIMARY KEY DEFERRABLE)"], None),
    "unique_beside_pk": (["CREATE TABLE {t} (a int NOT NULL UNIQUE, b int PRIMARY KEY)"], ["b"]),
    "no_index": (["CREATE TABLE {t} (a int)"], None),
}  # fmt: skip


def test_the_rule_of_keys(source: Source, command: Command) -> None:
    """Each table's, as `schemas` shows it."""
    source.execute(*(statement.format(t=name) for name, (made, _) in RULES.items() for statement in made))
    shown = json.loads(command.run("schemas").stdout)
    keys = {
        table.removeprefix("public."): schema["key"] and [field["name"] for field in schema["key"]["fields"]]
        for table, schema in shown.items()
    }
    assert keys == {name: key for name, (_, key) in RULES.items()}


def test_a_key_of_ones_own(source: Source, command: Command) -> None:
    """Under FULL, in its own order, of a partition too; a change of it is a change of the key."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, b int NOT NULL, v int)",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "CREATE TABLE p (id int, b int NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (9)",
        "ALTER TABLE low REPLICA IDENTITY FULL",
        "CREATE TABLE log (at int, b int)",
        "ALTER TABLE log REPLICA IDENTITY NOTHING",
        "INSERT INTO t VALUES (1, 'x', 2, 3)",
        "INSERT INTO p VALUES (1, 5)",
        "INSERT INTO log VALUES (1, 6)",
    )
    settings: dict[str, object] = {"message.key.columns": r"public\.t:b,a;PUBLIC\.(p|log):b"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute(
        "UPDATE t SET v = 4", "UPDATE t SET a = 'y'", "DELETE FROM t",
        "DELETE FROM p", "INSERT INTO log VALUES (2, 7)",
    )  # fmt: skip
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    records: list[Any] = command.records()
    found: dict[str, list[Any]] = {}
    for record in records:
        found.setdefault(record.topic.rpartition(".")[2], []).append((record.value and record.value["op"], record.key))
    x, y = {"b": 2, "a": "x"}, {"b": 2, "a": "y"}
    assert list(found["t"][0][1]) == ["b", "a"]
    assert found["t"] == [("r", x), ("u", x), ("d", x), (None, x), ("c", y), ("d", y), (None, y)]
    assert found["p"] == [("r", {"b": 5}), ("d", {"b": 5}), (None, {"b": 5})]
    assert found["log"] == [("r", {"b": 6}), ("c", {"b": 7})]


@pytest.mark.parametrize(
    ("key", "words", "remedy"),
    [
        (r"public\.t:b", "public.t does not log 'b' of an old row", 'ALTER TABLE "public"."t" REPLICA IDENTITY FULL;'),
        (r"public\.p:b", "public.lo\"w does not log 'b'", 'ALTER TABLE "public"."lo""w" REPLICA IDENTITY FULL;'),
        (r"public\.t:id,nope", "public.t has no column 'nope'", "its columns are 'id', 'b'"),
    ],
)
def test_a_key_that_cannot_be(source: Source, command: Command, key: str, words: str, remedy: str) -> None:
    """Exit 2 before a slot is made; `check` says the same."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, b int NOT NULL)",
        "CREATE TABLE p (id int, b int NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        'CREATE TABLE "lo""w" PARTITION OF p FOR VALUES FROM (0) TO (9)',
    )
    settings: dict[str, object] = {"message.key.columns": key}
    done = command.run("run", settings=settings)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert remedy in done.stderr
    assert source.confirmed_lsn() is None
    checked = command.run("check", "--json", settings=settings)
    assert checked.returncode == 3
    failed = [f for f in json.loads(checked.stdout)["findings"] if f["status"] == "failed"]
    assert any(words in finding["detail"] and remedy in finding["remedy"] for finding in failed)


def test_a_null_in_a_key_of_ones_own(source: Source, command: Command) -> None:
    """A conversion failure that names the column; nothing behind it is confirmed."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, b int)", "ALTER TABLE t REPLICA IDENTITY FULL")
    settings: dict[str, object] = {"message.key.columns": r"public\.t:b"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute("INSERT INTO t VALUES (1, NULL)")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 4
    assert "public.t, column b" in done.stderr
    assert "a key column is NULL" in done.stderr
