"""The tables that the filters select: what is told of a misspelt expression."""

from __future__ import annotations

from producer.settings import load_settings
from producer.source.catalog import Table
from producer.source.checks import tables


def _table(name: str) -> Table:
    return Table(
        oid=1, schema="public", name=name, partitioned=False, is_partition=False, root_oid=None,
        persistence="permanent", identity="default", rows=0, filenode=1, usable=True, unreadable=frozenset(),
        filtered=False,
    )  # fmt: skip


def test_an_expression_that_matches_nothing_is_told_whichever_list_it_is_in() -> None:
    """Misspelt in an exclude list, it would send a table that was to stay; what matches is not told."""
    settings = load_settings(
        None, ["topic.prefix=p", "schema.exclude.list=audti", r"table.exclude.list=public\.secret,public\.paswords"], {}
    ).settings
    every = [_table("orders"), _table("secret"), _table("passwords")]

    found = list(tables.chosen(every, [every[0], every[2]], settings))

    assert [(one.status, one.detail.partition(":")[0]) for one in found[1:]] == [
        ("warning", "schema.exclude.list"), ("warning", "table.exclude.list"),
    ]  # fmt: skip
    assert found[1].detail.endswith("'audti'")
    assert found[2].detail.endswith(r"'public\\.paswords'")
