"""Values of every type that the sink understands, and what becomes of those that it does not."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from dev.stack import Stack
from tests.downstream.kinds import CHANGED, EXACT, EXACT_AS_STRINGS, MADE, REWRITTEN, STOPS, STRINGS, TYPES, Kind
from tests.downstream.sink import DOCS, Sink, printed, run_once
from tests.harness import Command, Source

pytestmark = pytest.mark.downstream


def table(kinds: Sequence[Kind]) -> str:
    """A table with a column for each."""
    return (
        f"CREATE TABLE t (id int PRIMARY KEY, {', '.join(f'c{place} {kind.name}' for place, kind in enumerate(kinds))})"
    )


def send(source: Source, command: Command, kinds: Sequence[Kind], settings: dict[str, object]) -> None:
    """Rows of literals, each column's in turn, and one of nulls: copied, and again streamed."""
    most = max(len(kind.literals) for kind in kinds)
    rows = [[kind.literals[number % len(kind.literals)] for kind in kinds] for number in range(most)]
    rows.append(["NULL"] * len(kinds))
    inserts = [f"INSERT INTO t VALUES ({number}, {', '.join(row)})" for number, row in enumerate(rows)]
    source.execute(*TYPES, table(kinds), *inserts)
    run_once(command, settings)
    columns = ", ".join(f"c{place}" for place in range(len(kinds)))
    source.execute(f"INSERT INTO t SELECT id + 100, {columns} FROM t")
    run_once(command, settings)


def assert_same(source: Source, copy: Source, kind: Kind, expressions: tuple[str, str]) -> None:
    """One column's values: the same rows, as many as there are, on both sides."""
    expected, found = (
        printed(side, f"SELECT id, {expression} FROM t ORDER BY id")
        for side, expression in zip((source, copy), expressions, strict=True)
    )
    assert len(expected) > len(kind.literals)
    assert found == expected, kind.name


@pytest.mark.parametrize(
    ("kinds", "settings"), [(EXACT, {}), (EXACT_AS_STRINGS, STRINGS)], ids=["by default", "as strings"]
)
def test_a_table_made_beforehand_holds_the_same(
    source: Source, copy: Source, command: Command, sink: Sink, kinds: tuple[Kind, ...], settings: dict[str, object]
) -> None:
    """With the source's own types, every value is printed alike."""
    copy.execute(*TYPES, table(kinds))
    sink.start(schema_evolution="none")
    send(source, command, kinds, settings)
    sink.wait_copied()
    for place, kind in enumerate(kinds):
        assert_same(source, copy, kind, (f"c{place}", f"c{place}"))


def test_a_table_that_the_sink_makes(source: Source, copy: Source, command: Command, sink: Sink) -> None:
    """The sink chooses the columns' types by our schemas; what they can hold is there."""
    copy.execute(*TYPES)
    sink.start(schema_evolution="basic")
    kinds = (*EXACT, *MADE)
    send(source, command, kinds, {})
    sink.wait_copied()
    made: dict[str, str] = dict(
        copy.rows("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass")
    )
    assert {kind.name: made[f"c{place}"] for place, kind in enumerate(kinds)} == {
        kind.name: kind.made for kind in kinds
    }
    for place, kind in enumerate(kinds):
        rewritten = REWRITTEN.get(kind.name)
        templates = (rewritten.source, rewritten.copy) if rewritten else ("{}", "{}")
        assert_same(source, copy, kind, (templates[0].format(f"c{place}"), templates[1].format(f"c{place}")))


def test_what_the_sink_does_not_understand(source: Source, copy: Source, command: Command, connect: Stack) -> None:
    """One table and one connector each: it stops, or goes on and writes something else."""
    others = (*STOPS, *CHANGED)
    source.execute(*TYPES)
    copy.execute(*TYPES)
    for number, other in enumerate(others):
        made = f"CREATE TABLE t{number} (id int PRIMARY KEY, v {other.name})"
        source.execute(made, f"INSERT INTO t{number} VALUES (1, {other.literal})")
        if other.beforehand:
            copy.execute(made)
    run_once(command)
    sinks = [
        Sink(connect, f"{copy.name}_{number}", rf"{source.name}\.public\.t{number}", copy)
        for number in range(len(others))
    ]
    try:
        for sink in sinks:
            sink.start()
        for other, sink in zip(STOPS, sinks, strict=False):
            assert other.words in sink.failure(), other.name
        for number, other in enumerate(CHANGED, len(STOPS)):
            sinks[number].wait_copied()
            (value,) = printed(copy, f"SELECT v FROM t{number}")
            assert other.words in value, other.name
    finally:
        for sink in sinks:
            sink.remove()


def test_the_docs_tell_of_each_type() -> None:
    """docs/downstream.md has a line for each, with the type that the sink makes or with what happens."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    for kind in (*EXACT, *MADE):
        assert any(cells[0] == f"`{kind.made}`" and f"`{kind.name}`" in cells[1] for cells in told), kind
    as_strings = {kind.name for kind in EXACT_AS_STRINGS}
    for others, fate in ((STOPS, "stops"), (CHANGED, "goes on, and is wrong")):
        for other in others:
            exact = "exact" if other.name in as_strings else ""
            found = [cells for cells in told if cells[0] == f"`{other.name}`" and len(cells) == 4]
            assert [(cells[2], cells[3].startswith(fate)) for cells in found] == [(exact, True)], other


def test_the_settings_of_the_docs_are_the_tests() -> None:
    """Values as strings."""
    found = re.search(r"```properties\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    assert dict(line.split("=") for line in found[1].splitlines()) == STRINGS
