"""Key and identity of a row's own moment, and guesses at what a table may have been."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from producer.decode.wal2json import LoggedColumn, RowShape
from producer.events import Column, PgType, Relation, TypeField
from producer.lsn import Lsn
from producer.schema import differences, variants
from producer.schema.shape import Known, shape_of

INT = PgType(oid=23, schema="pg_catalog", name="int4", kind="base", length=4)
TEXT = PgType(oid=25, schema="pg_catalog", name="text", kind="base")
PAIR = PgType(oid=99, schema="s", name="pair", kind="composite", fields=(TypeField(name="a", type=INT),))
ID = Column(name="id", attnum=1, type=INT, not_null=True)
CODE = Column(name="code", attnum=2, type=INT, not_null=True)
V = Column(name="v", attnum=3, type=TEXT, toastable=True)
NOW = Relation(
    oid=9, schema="s", name="t", columns=(ID, CODE, V), key=("code", "id"), identity="default",
    identity_columns=frozenset({"id", "code"}), primary=(("id", 23), ("code", 23)),
)  # fmt: skip
BY_ID = replace(NOW, key=("id",), identity_columns=frozenset({"id"}), primary=(("id", 23),))


def logged(*columns: Column) -> tuple[LoggedColumn, ...]:
    return tuple(LoggedColumn(column.name, column.type.oid) for column in columns)


@pytest.mark.parametrize(
    ("primary", "key"), [((ID, CODE), ("code", "id")), ((ID,), ("id",)), ((CODE,), ("code",)), ((), ())]
)
def test_an_insert_has_the_key_of_its_moment(primary: tuple[Column, ...], key: tuple[str, ...]) -> None:
    """The row says which columns, who knows the same ones their order."""
    row = RowShape("I", "s", "t", Lsn(1), logged(ID, CODE, V), (), logged(*primary))
    found, _ = shape_of(row, Known(now=NOW, before=None))
    assert found.key == key
    assert found.primary == tuple((column.name, 23) for column in primary)


@pytest.mark.parametrize(
    ("old", "kind", "key"),
    [((ID,), "default", ("id",)), ((ID, CODE, V), "full", ("id",)), ((CODE,), "index", ("code",))],
)
def test_an_update_has_the_identity_of_its_moment(old: tuple[Column, ...], kind: str, key: tuple[str, ...]) -> None:
    row = RowShape("U", "s", "t", Lsn(1), logged(ID, CODE, V), logged(*old), logged(ID))
    found, _ = shape_of(row, Known(now=NOW, before=BY_ID))
    assert (found.identity, found.key) == (kind, key)
    assert found.identity_columns == {column.name for column in old}


def test_a_delete_tells_a_whole_row_from_a_key() -> None:
    for old, kind in (((ID,), "default"), ((ID, CODE, V), "full")):
        row = RowShape("D", "s", "t", Lsn(1), (), logged(*old), logged(ID))
        found, _ = shape_of(row, Known(now=NOW, before=None))
        assert (found.identity, found.key, found.columns) == (kind, ("id",), (ID, CODE, V))


FULL = replace(BY_ID, identity="full", identity_columns=frozenset({"id", "code", "v"}))


@pytest.mark.parametrize("now", [BY_ID, FULL])
@pytest.mark.parametrize("action", ["U", "D"])
@pytest.mark.parametrize(("old", "kind"), [((ID,), "default"), ((ID, CODE, V), "full")])
def test_an_old_row_tells_its_identity_where_no_key_is_named(
    now: Relation, action: Literal["U", "D"], old: tuple[Column, ...], kind: str
) -> None:
    """wal2json 2.3, which is not asked for the key: the catalogue may speak of a later identity."""
    columns = logged(ID, CODE, V) if action == "U" else ()
    found, _ = shape_of(RowShape(action, "s", "t", Lsn(1), columns, logged(*old)), Known(now=now, before=None))
    assert (found.identity, found.key, found.columns) == (kind, ("id",), (ID, CODE, V))


def test_guesses_begin_with_what_was() -> None:
    """Never an array's depth: a value of now could have another."""
    price = Column(name="v", attnum=3, type=TEXT, typmod=8, not_null=True, dimensions=1)
    now = replace(NOW, columns=(ID, CODE, price))
    past = replace(now, columns=(ID, CODE, replace(price, typmod=4)))
    found = list(variants.of(now, 2, [past, replace(past, primary=())], exact=True))
    assert found[0] == (past, True)
    assert found[1] == (now, False)
    assert [relation.columns[2] for relation, _ in found[2:]] == [
        replace(price, not_null=False), replace(price, typmod=-1),
    ]  # fmt: skip


def test_a_composite_between_two_changes() -> None:
    """Attributes were added to what it was, before others were dropped."""
    was = Column(name="p", attnum=3, type=PAIR)
    became = replace(was, type=replace(PAIR, fields=(TypeField(name="b", type=TEXT),)))
    past = [replace(NOW, columns=(ID, CODE, column)) for column in (was, became)]
    guesses = [relation.columns[2].type.fields for relation, _ in variants.of(past[1], 2, past, exact=True)]
    assert tuple(field.name for field in guesses[-1]) == ("a", "b")


def test_differences_in_words() -> None:
    after = replace(
        NOW, key=("id",), columns=(replace(ID, type=TEXT), replace(V, name="w", not_null=True), replace(V, attnum=4))
    )
    assert differences.in_words(NOW, after) == (
        "column code was dropped; column v (text) was added; column id was of type int4 and is text; "
        "column v was renamed to w; column w is NOT NULL; the key was (code, id) and is (id)"
    )
