"""Selection: keys of one's own against what the log holds, and filters that match nothing."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from producer.errors import SettingsError
from producer.events import Column, PgType, Relation, ReplicaIdentity
from producer.settings import Settings, load_settings
from producer.source import preflight, selection

INT4 = PgType(oid=23, schema="pg_catalog", name="int4", kind="base")


def settings(*sets: str) -> Settings:
    return load_settings(None, ["topic.prefix=p", *sets], {}).settings


def relation(identity: ReplicaIdentity = "default", logged: Collection[str] = ("a",)) -> Relation:
    columns = tuple(Column(name=name, attnum=n, type=INT4) for n, name in enumerate(("a", "b", 'c"'), 1))
    return Relation(
        oid=1, schema="s", name="t", columns=columns, key=("a",), identity=identity, identity_columns=frozenset(logged)
    )


def test_a_key_of_ones_own_wins_and_keeps_its_order() -> None:
    chosen = selection.chosen(relation(), settings('message.key.columns=s.t:c",b', r"column.exclude.list=s\.t\.[bA]"))
    assert chosen.key == ('c"', "b")
    assert [column.name for column in chosen.sent_columns] == ['c"']
    assert [column.name for column in chosen.read_columns] == ["b", 'c"']


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(SettingsError) as caught:
        selection.chosen(relation(), settings("message.key.columns=s.t:b,x"))
    assert "s.t has no column 'x'" in caught.value.message


@pytest.mark.parametrize(
    ("identity", "logged", "sets", "told"),
    [
        ("default", {"a"}, [], True),
        ("index", {"a"}, [], True),
        ("full", {"a", "b", 'c"'}, [], False),
        ("index", {"b"}, [], False),
        ("nothing", (), [], False),
        ("default", {"a"}, ["skipped.operations=u,d"], False),
        ("default", {"a"}, ["skipped.operations=d"], True),
    ],
)
def test_a_key_that_the_log_does_not_hold(
    identity: ReplicaIdentity, logged: Collection[str], sets: list[str], told: bool
) -> None:
    """Of a table whose updates and deletes are logged at all."""
    chosen = settings("message.key.columns=s.t:b", *sets)
    shape = selection.chosen(relation(identity, logged), chosen)
    errors = list(preflight.unlogged_keys([shape], (), chosen))
    assert bool(errors) is told
    for error in errors:
        assert "does not log 'b'" in error.message
        assert error.remedy.startswith('ALTER TABLE "s"."t" REPLICA IDENTITY FULL;')
    assert not list(preflight.unlogged_keys([shape], {1}, chosen))


def test_a_filter_that_names_nothing() -> None:
    found = selection.unmatched([relation()], settings(r"column.exclude.list=s\.t\.a,s\.t\.aa"))
    assert list(found) == [r"column.exclude.list: s\.t\.aa names no column of a selected table"]


def test_a_key_that_names_nothing() -> None:
    """As the key's match: the whole name, in any case."""
    found = selection.unmatched([relation()], settings(r"message.key.columns=S\.t:a;s\.tt:a,b;t:a"))
    assert list(found) == [
        rf"message.key.columns: {name} names no selected table" for name in (r"s\.tt", "t")
    ]  # fmt: skip
