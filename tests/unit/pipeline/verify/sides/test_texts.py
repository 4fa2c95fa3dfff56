"""A row's text: what PostgreSQL's ROW(…)::text prints, and what each Avro value means."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from producer.pipeline.verify.sides.texts import bucket, digest, row_text, text_of


def test_a_row_is_printed_as_postgresql_prints_it() -> None:
    """Quoted where it must be; null and the empty text are two things."""
    assert row_text(["1", None, "", 'a"b', "c\\d", "e f", "(", "g,h", "é\u00a0"]) == (
        '(1,,"","a""b","c\\\\d","e f","(","g,h",é\u00a0)'
    )
    assert row_text(["a", "bc"]) != row_text(["ab", "c"])


def test_a_digest_is_the_head_of_the_md5() -> None:
    """Of the text's UTF-8, in two halves of 60 bits; a key's bucket is of its first 16."""
    assert digest("(1)") == (0x7ACCE3193127D4B, 0x71A6C2B140C22DC)
    assert [bucket("(1)", 1), bucket("(1)", 16)] == [0, 12]


SEMANTIC = "io.debezium.time."
ZONED = {"type": "string", "connect.name": f"{SEMANTIC}ZonedTimestamp"}
INTERVAL = {"type": "string", "connect.name": f"{SEMANTIC}Interval"}
VARIABLE = {"type": "record", "connect.name": "io.debezium.data.VariableScaleDecimal"}


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        ("long", -(2**63), "-9223372036854775808"),
        ("boolean", True, "t"),
        ({"type": "int", "connect.type": "int16"}, 7, "7"),
        ("double", -0.0, "8000000000000000"),
        ("float", 1.5, "3ff8000000000000"),
        ("bytes", b"\x00\xff", "00ff"),
        ({"type": "bytes", "logicalType": "decimal", "scale": 2}, Decimal("1.10"), "1.10"),
        (VARIABLE, {"scale": 5, "value": b"\x02\x49\xf0"}, "1.50000"),
        ({"type": "int", "connect.name": f"{SEMANTIC}Date"}, 10957, "00000000"),
        ({"type": "int", "connect.name": f"{SEMANTIC}Date"}, 2**31 - 1, "7fffffff"),
        ({"type": "long", "connect.name": f"{SEMANTIC}Timestamp"}, 946684800001, "00000000000003e8"),
        ({"type": "long", "connect.name": f"{SEMANTIC}MicroTimestamp"}, -(2**63), "8000000000000000"),
        ({"type": "long", "connect.name": f"{SEMANTIC}NanoTimestamp"}, 946684800000001000, "0000000000000001"),
        (ZONED, "2000-01-01T00:00:00.000001Z", "0000000000000001"),
        (ZONED, "infinity", "7fffffffffffffff"), (ZONED, "-infinity", "8000000000000000"),
        (ZONED, "-4713-11-24T00:00:00.000000Z", "fd0f7cc1411fa000"),
        (ZONED, "0000-02-29T23:59:59.999999Z", "ff1fcaf41a2b9fff"),
        (ZONED, "+10000-01-01T00:00:00.000000Z", "0380e70b913b8000"),
        (ZONED, "+294276-12-31T23:59:59.999999Z", "7fffff5bb3b29fff"),
        (ZONED, "+999999-01-01T00:00:00.000000Z", "+999999-01-01T00:00:00.000000Z"), (ZONED, "soon", "soon"),
        (INTERVAL, "infinity", "7fffffffffffffff7fffffff7fffffff"),
        (INTERVAL, "-infinity", "80000000000000008000000080000000"),
        (INTERVAL, "P1Y2M-3DT0H0M-0.5S", "fffffffffff85ee0fffffffd0000000e"),
        ({"type": "string", "connect.name": "io.debezium.data.Json"}, '{"a": 1}', '{"a": 1}'),
        ({"type": "array", "items": ["null", "int"]}, [1, None], "[1, None]"),
        ({"type": "record", "name": "address"}, {"street": "x", "added": None}, "{'street': 'x'}"),
    ],
)  # fmt: skip
def test_what_a_value_means(schema: Any, value: Any, text: str) -> None:
    """A type's send function gives the same bytes; the units of a time are its own."""
    assert text_of(schema)(value) == text
