"""`run --once`: everything committed before the start is on the topics, and confirmed."""

from __future__ import annotations

from typing import Any

from tests.harness import Command, Source, folded

ORDERS = "CREATE TABLE orders (id bigint PRIMARY KEY, item text, price numeric(10,2), big text)"


def test_snapshot_then_changes(source: Source, command: Command) -> None:
    """Rows of before arrive as `r`, changes of later as `c`, `u`, `d`; the topic folds to the table."""
    source.execute(ORDERS, "INSERT INTO orders SELECT i, 'item ' || i, i / 10.0 FROM generate_series(1, 100) i")
    assert command.run("run", "--once").returncode == 0
    source.execute(
        "INSERT INTO orders VALUES (101, 'new', 1.5)",
        "UPDATE orders SET item = 'changed' WHERE id = 1",
        "DELETE FROM orders WHERE id = 2",
        "UPDATE orders SET id = 1003 WHERE id = 3",
    )
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    records = command.records()
    values: list[Any] = [record.value for record in records]
    assert [value["op"] if value else None for value in values[100:]] == ["c", "u", "d", None, "d", None, "c"]
    assert [value["source"]["ordinal"] for value in values[100:] if value] == [1, 1, 1, 1, 2]
    rows = source.rows("SELECT id, item, price FROM orders ORDER BY id")
    state = folded(records)[f"{command.prefix}.public.orders"]
    assert sorted((row["id"], row["item"], row["price"]) for row in state.values()) == rows


def test_nothing_is_sent_twice_by_the_next_run(source: Source, command: Command) -> None:
    """A sync run that finds nothing new adds nothing, and the slot has moved on."""
    source.execute(ORDERS, "INSERT INTO orders VALUES (1, 'one', 1)")
    assert command.run("run", "--once").returncode == 0
    source.execute("INSERT INTO orders VALUES (2, 'two', 2)")
    assert command.run("run", "--once").returncode == 0
    before = len(command.records())
    confirmed = source.confirmed_lsn()
    assert command.run("run", "--once").returncode == 0
    assert len(command.records()) == before == 2
    assert confirmed is not None
