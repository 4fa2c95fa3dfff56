"""The shape of a row's own moment, from the row, the catalogue of now, and what was before."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from producer.decode.wal2json import LoggedColumn, RowShape
from producer.errors import ConversionError
from producer.events import Attribute, Column, PgType, Relation
from producer.lsn import Lsn
from producer.schema.shape import Known, only_toast_missing, shape_of

INT = PgType(oid=23, schema="pg_catalog", name="int4", kind="base", length=4)
TEXT = PgType(oid=25, schema="pg_catalog", name="text", kind="base")
NUMERIC = PgType(oid=1700, schema="pg_catalog", name="numeric", kind="base")
TYPES = {type.oid: type for type in (INT, TEXT, NUMERIC)}
ID = Column(name="id", attnum=1, type=INT, not_null=True)
NAME = Column(name="name", attnum=2, type=TEXT, toastable=True)
AGE = Column(name="age", attnum=4, type=INT)


def relation(*columns: Column, key: str = "id") -> Relation:
    return Relation(
        oid=9, schema="s", name="t", columns=columns, key=(key,), identity="default", identity_columns=frozenset({key})
    )


def attribute(attnum: int, name: str, type: PgType, *, dropped: bool = False, typmod: int = -1) -> Attribute:
    return Attribute(
        attnum=attnum, name=name, dropped=dropped, type_oid=0 if dropped else type.oid, typmod=typmod, dimensions=0,
        length=type.length, not_null=False, toastable=type.length < 0,
    )  # fmt: skip


def row(action: Literal["I", "U", "D"], *columns: tuple[str, PgType], identity: str = "id") -> RowShape:
    logged = tuple(LoggedColumn(name, type.oid) for name, type in columns)
    old = () if action == "I" else (LoggedColumn(identity, INT.oid),)
    return RowShape(action, "s", "t", Lsn(1), logged, old)


NOW = relation(ID, NAME, AGE)
ATTRIBUTES = (
    attribute(1, "id", INT),
    attribute(2, "name", TEXT),
    attribute(3, "....dropped", NUMERIC, dropped=True, typmod=7),
    attribute(4, "age", INT),
)


def known(now: Relation | None = NOW, before: Relation | None = None) -> Known:
    return Known(now=now, before=before, attributes=ATTRIBUTES, types=TYPES)


def test_a_column_added_since_is_left_out() -> None:
    """The catalogue is ahead of the row."""
    found, missing = shape_of(row("I", ("id", INT), ("name", TEXT)), known())
    assert [column.name for column in found.columns] == ["id", "name"]
    assert missing == ()


def test_a_column_dropped_since_keeps_its_modifier() -> None:
    """pg_attribute remembers; the row gives name and type."""
    found, _ = shape_of(row("I", ("id", INT), ("name", TEXT), ("price", NUMERIC), ("age", INT)), known())
    price = found.columns[2]
    assert (price.name, price.attnum, price.type, price.typmod) == ("price", 3, NUMERIC, 7)


def test_a_column_renamed_since_keeps_its_place_and_its_part_in_the_key() -> None:
    """Numbers, not names, tell what a column is."""
    found, _ = shape_of(row("U", ("number", INT), ("title", TEXT), ("age", INT), identity="number"), known())
    assert [(column.name, column.attnum) for column in found.columns] == [("number", 1), ("title", 2), ("age", 4)]
    assert found.key == ("number",)
    assert found.identity_columns == {"number"}


def test_a_renamed_column_beside_a_dropped_one() -> None:
    """Both lie in the gap: the order of the numbers decides."""
    found, _ = shape_of(row("I", ("id", INT), ("title", TEXT), ("price", NUMERIC), ("age", INT)), known())
    assert [column.attnum for column in found.columns] == [1, 2, 3, 4]


def test_an_update_that_lacks_a_large_value_is_of_the_same_shape() -> None:
    """Unchanged TOAST: the column is known before, still there, and toastable."""
    update = row("U", ("id", INT), ("age", INT))
    found, missing = shape_of(update, known(before=NOW))
    assert found == NOW
    assert missing == (NAME,)
    assert only_toast_missing(update, NOW) == (NAME,)


def test_an_update_after_a_drop_is_of_the_new_shape() -> None:
    """Known before, but gone from the catalogue: dropped, not unchanged."""
    now = relation(ID, AGE)
    found, missing = shape_of(row("U", ("id", INT), ("age", INT)), known(now=now, before=NOW))
    assert [column.name for column in found.columns] == ["id", "age"]
    assert missing == ()


def test_of_a_table_that_is_gone_an_unchanged_value_is_missed() -> None:
    """It is not taken for a dropped column: its value would be lost without a word."""
    update = row("U", ("id", INT), ("age", INT))
    found, missing = shape_of(update, Known(now=None, before=NOW, types=TYPES))
    assert (found.columns, missing) == ((ID, NAME, AGE), (NAME,))
    _, missing = shape_of(row("I", ("id", INT), ("age", INT)), Known(now=None, before=NOW, types=TYPES))
    assert missing == ()


@pytest.mark.parametrize("lacking", [("name", TEXT), ("id", INT)])
def test_only_toastable_columns_may_be_lacking(lacking: tuple[str, PgType]) -> None:
    """A fixed-width column is never left out."""
    assert only_toast_missing(row("U", lacking), NOW) == ()


def test_a_delete_takes_the_shape_whose_key_it_has() -> None:
    """The last one that was walked, else the catalogue's, with renamed columns named as then."""
    before = relation(replace(ID, name="number"), NAME, key="number")
    assert shape_of(row("D", identity="number"), known(before=before))[0] == before
    found, _ = shape_of(row("D", identity="number"), known())
    assert found.key == ("number",)
    assert [column.name for column in found.columns] == ["number", "name", "age"]


def test_what_nothing_tells_is_an_error() -> None:
    """A type that is gone, a table that is gone."""
    with pytest.raises(ConversionError, match="nothing tells"):
        shape_of(row("I", ("id", INT), ("x", PgType(oid=777, schema="q", name="gone", kind="enum"))), known())
    with pytest.raises(ConversionError, match="was dropped before"):
        shape_of(row("I", ("id", INT)), known(now=None))
