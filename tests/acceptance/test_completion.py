"""What the log does not hold is read again, and says so; what is gone is told apart."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.harness import Command, Source

pytestmark = pytest.mark.matrix

TABLE = "CREATE TABLE t (a int, b text, v float8, n numeric(8,2), big text, PRIMARY KEY (b, a))"


def _headers(record: Any) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in record.headers}


def test_unchanged_toast_and_hidden_nan(source: Source, command: Command) -> None:
    """Many rows of one transaction, some of them gone when they are read; a newer plugin prints NaN itself."""
    printed = source.prints_nan()
    source.execute(TABLE, "ALTER TABLE t ALTER COLUMN big SET STORAGE external")
    assert command.run("run", "--once").returncode == 0
    source.execute(
        "INSERT INTO t SELECT i, 'k' || i, CASE WHEN i % 2 = 0 THEN 'NaN'::float8 END, null, repeat('q', 3000) "
        "FROM generate_series(1, 1200) i",
        "UPDATE t SET n = 1 WHERE a <= 600",
        "DELETE FROM t WHERE a % 3 = 0",
    )
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    records: list[Any] = [record for record in command.records() if record.value]
    created = [record for record in records if record.value["op"] == "c"]
    assert len(created) == 1200
    for record in created:
        after = record.value["after"]
        assert _headers(record) == ({} if printed else {"__producer.reread": ["v", "n"]})
        known = printed or after["a"] % 3 != 0
        assert (after["v"] is not None and math.isnan(after["v"])) == (after["a"] % 2 == 0 and known)
    updated = [record for record in records if record.value["op"] == "u"]
    assert len(updated) == 600
    for record in updated:
        after, gone = record.value["after"], record.value["after"]["a"] % 3 == 0
        how = "placeholder" if gone else "reselected"
        assert _headers(record)["__producer.unchanged"] == {"big": how}
        assert after["big"] == ("__debezium_unavailable_value" if gone else "q" * 3000)


def test_full_identity_gives_the_value_itself(source: Source, command: Command) -> None:
    """The before-image holds it: as of then, not as of now."""
    source.execute(TABLE, "ALTER TABLE t REPLICA IDENTITY FULL", "ALTER TABLE t ALTER COLUMN big SET STORAGE external")
    source.execute("INSERT INTO t VALUES (1, 'k', 1, 1, repeat('q', 3000))")
    assert command.run("run", "--once").returncode == 0
    source.execute("UPDATE t SET n = 2", "UPDATE t SET big = 'small'")
    assert command.run("run", "--once").returncode == 0
    everything: list[Any] = list(command.records())
    records = [record for record in everything if record.value["op"] == "u"]
    assert [record.value["after"]["big"] for record in records] == ["q" * 3000, "small"]
    assert _headers(records[0]) == {"__producer.unchanged": {"big": "before"}}
    assert records[1].headers == ()


def test_a_dropped_column_is_not_taken_for_an_unchanged_value(source: Source, command: Command) -> None:
    """An update after DROP COLUMN has the new shape."""
    source.execute(TABLE, "INSERT INTO t VALUES (1, 'k', 1, 1, 'x')")
    assert command.run("run", "--once").returncode == 0
    source.execute("UPDATE t SET v = 2", "ALTER TABLE t DROP COLUMN big", "UPDATE t SET v = 3")
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    everything: list[Any] = list(command.records())
    records = [record for record in everything if record.value["op"] == "u"]
    assert ["big" in record.value["after"] for record in records] == [True, False]
    assert all(not record.headers for record in records)


@pytest.mark.parametrize("gone", ["DROP TABLE s.t", "DROP SCHEMA s CASCADE"])
def test_an_unchanged_value_of_a_table_that_is_gone(gone: str, source: Source, command: Command) -> None:
    """It cannot be read again, and is not left out like one of a dropped column; its key's type may be gone too."""
    source.execute(
        "CREATE SCHEMA s", "CREATE TYPE s.mood AS ENUM ('a')", "CREATE TABLE stays (id int PRIMARY KEY)",
        "CREATE TABLE s.t (k s.mood PRIMARY KEY, n int, big text)", "ALTER TABLE s.t ALTER big SET STORAGE external",
        "INSERT INTO s.t VALUES ('a', 1, repeat('q', 3000))",
    )  # fmt: skip
    assert command.run("run", "--once").returncode == 0
    source.execute("UPDATE s.t SET n = 2", gone)
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    _, updated = list[Any](command.records("s.t"))
    assert updated.value["after"] == {"k": "a", "n": 2, "big": "__debezium_unavailable_value"}
    assert _headers(updated) == {"__producer.unchanged": {"big": "placeholder"}}


def test_without_a_key_a_null_that_may_have_been_nan_says_so(source: Source, command: Command) -> None:
    """Nothing can be read again: the null stays, a header names its column, and the log says it once."""
    printed = source.prints_nan()
    source.execute("CREATE TABLE t (a int, v float8, n numeric)", "ALTER TABLE t REPLICA IDENTITY FULL")
    assert command.run("run", "--once").returncode == 0
    source.execute("INSERT INTO t VALUES (1, NULL, 1), (2, 2, NULL)", "UPDATE t SET a = 3 WHERE a = 1")
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records())
    expected: list[dict[str, Any]] = [{"__producer.unread": [name]} for name in ("v", "n", "v")]
    assert [_headers(record) for record in records] == ([{}] * 3 if printed else expected)
    assert [record.value["after"] is not None for record in records] == [True] * 3
    assert done.stderr.count("without a key no row can be read again") == (0 if printed else 1)
