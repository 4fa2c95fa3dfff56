"""docs/types.md is what the code makes, and leaves out no type and no mode."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from producer.schema.types import table
from producer.schema.types.__main__ import document, shown
from producer.schema.types.avro_type import Modes
from producer.schema.types.page import MODES, ROWS, Row
from producer.settings import Settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "types.md"


def test_the_page_is_the_code_s() -> None:
    assert PAGE.read_text() == document(), "python -m producer.schema.types >docs/types.md"


def test_every_type_of_the_table_is_on_the_page() -> None:
    named = {(type.schema == "pg_catalog", type.name) for row in ROWS for type in row.types}
    assert {(True, name) for name in table._TABLE} <= named
    assert {(False, name) for name in table._EXTENSIONS} <= named


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_a_row_s_types_are_one_avro_type(row: Row) -> None:
    found = {repr(table.avro_type(type, row.typmod, row.dimensions, Modes()).schema) for type in row.types}
    assert len(found) == 1


def test_every_mode_is_on_the_page() -> None:
    """Each value of each setting but its default, which the table is."""
    fields = {
        "decimal.handling.mode": "decimals",
        "time.precision.mode": "times",
        "interval.handling.mode": "intervals",
    }
    fields |= {"hstore.handling.mode": "hstores", "binary.handling.mode": "binaries", "array.handling.mode": "arrays"}
    hints = get_type_hints(Modes)
    for key, field in fields.items():
        others = set(get_args(hints[field])) - {getattr(Modes(), field)}
        assert {value for name, value, _ in MODES if name == key} == others, key
        assert others < set(get_args(Settings.model_fields[key.replace(".", "_")].annotation)), key


def test_values_are_those_of_the_specification() -> None:
    """Some that were pinned before there was any code."""
    by_label = {row.label: row for row in ROWS}
    for label, text, value in (
        ("numeric(p,s)", "1.10", "1.10"),
        ("numeric", "1.50000", "{scale: 5, value: [02 49 f0]}"),
        ("bit(n)", "1000000000000000", "[00 80]"),
        ("date", "2016-11-04", "17109"),
        ("time(0) to time(3)", "13:51:30.123", "49890123"),
        ("timestamp, timestamp(4) to timestamp(6)", "4713-12-31 23:59:59.999999 BC", "-210831897600000001"),
        ("time with time zone", "24:00:00+00", "24:00:00Z"),
        ("interval", "PT0S", "P0Y0M0DT0H0M0S"),
    ):
        assert shown(by_label[label], text) == value, label
