"""A SELECT of one's own for a table's snapshot: its rows, under the same snapshot; what does not fit is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Command, Source

KEY = "snapshot.select.statement.overrides"


def test_its_rows_are_the_snapshot(source: Source, command: Command) -> None:
    """The stream is not filtered; columns may stand in another order, and those left out may be missing."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(9), secret text)",
        'CREATE TABLE "o.d d" (id int PRIMARY KEY)',
        "INSERT INTO t SELECT i, 'v' || i, 's' FROM generate_series(1, 5) i",
        'INSERT INTO "o.d d" VALUES (1), (2)',
    )
    settings: dict[str, object] = {
        KEY: "public.t, public.o.d d",
        f"{KEY}.public.t": "SELECT v::varchar(9), id FROM public.t WHERE id > 3 ORDER BY id DESC -- the newer ones",
        f"{KEY}.public.o.d d": 'SELECT * FROM public."o.d d" WHERE id = 2; ',
        "column.exclude.list": r"public\.t\.secret",
    }
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    source.execute("UPDATE t SET v = 'w' WHERE id = 1")
    assert command.run("run", "--once", settings=settings).returncode == 0
    records: list[Any] = command.records("public.t")
    assert [(r.value["op"], r.value["after"]) for r in records] == [
        ("r", {"id": 5, "v": "v5"}), ("r", {"id": 4, "v": "v4"}), ("u", {"id": 1, "v": "w"}),
    ]  # fmt: skip
    assert [record.key for record in command.records("public.o.d_d")] == [{"id": 2}]


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ("SELECT id FROM public.t", ["'v' is missing", "it must give 'id', 'v'"]),
        ("SELECT *, 1 AS w FROM public.t", ["'w' is not a column of the table"]),
        ("SELECT id, 'x' AS v FROM public.t", ["'v' is not of the type varchar"]),
        ("SELECT * FROM t", ['relation "t" does not exist', "search_path is empty"]),
        ("SELECT * FROM public.t) AS x; DROP TABLE public.t; SELECT (1", ["cannot insert multiple commands"]),
        ("SELEC", ["syntax error"]),
    ],
)
def test_what_does_not_fit(source: Source, command: Command, select: str, words: list[str]) -> None:
    """Exit 2 before anything is read; `check` says so too."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(9))", "INSERT INTO t VALUES (1, 'a')")
    settings: dict[str, object] = {KEY: "public.t", f"{KEY}.public.t": select}
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 2, done.stderr
    for word in words:
        assert word in done.stderr
    assert source.confirmed_lsn() is None
    assert source.rows("SELECT count(*) FROM t") == [(1,)]
    assert command.run("check", settings=settings).returncode == 3
