"""A row as one text that both sides can make: PostgreSQL from its columns, we from a record's after-image.

Room: pipeline (pure). PostgreSQL manual, "Composite Types" (the output of ROW), "Binary String Functions".
Where PostgreSQL's text of a value cannot be told from its Avro value, the type's send function gives its bytes. A
text that one side makes otherwise costs a reading of rows, never a wrong verdict: rows are told apart by texts that
we have made on both sides.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

from psycopg import sql

from producer.events import Column
from producer.schema import avro
from producer.schema.types import Modes
from producer.transcode.plan import Form

Text = Callable[[Any], str]
"""An Avro value, not null, to its text."""

Digest = tuple[int, int]
"""The first 120 bits of a text's MD5, in two halves: sums of halves tell buckets apart."""

_HALF = 15
_BUCKET_DIGITS = 4
MOST_BUCKETS = 16**_BUCKET_DIGITS
_QUOTED = re.compile(r'["\\(),\s]', re.ASCII)
_INTERVAL = re.compile(r"P(-?\d+)Y(-?\d+)M(-?\d+)DT(-?\d+)H(-?\d+)M(-?)(\d+)(?:\.(\d{1,6}))?S")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAYS = 10_957
_EPOCH_MICROS = 946_684_800_000_000
_DAY_MICROS = 86_400_000_000
_INT_ENDS = (-(2**31), 2**31 - 1)
_LONG_ENDS = (-(2**63), 2**63 - 1)
_INFINITIES = ("-infinity", "infinity")
_YEAR = re.compile(r"[+-]?\d+(?=-\d\d-)", re.ASCII)
_TURN_YEARS, _TURN_DAYS = 400, 146_097
# numeric's largest, and what is beyond the limits of int's own text.
_EXACT = Context(prec=200_000, Emax=MAX_EMAX, Emin=MIN_EMIN)

_EXPRESSIONS: dict[Form, str] = {
    **dict.fromkeys((Form.LONG, Form.BOOLEAN, Form.STRING, Form.ENUM, Form.DECIMAL, Form.VARIABLE_DECIMAL), "{}"),
    **dict.fromkeys((Form.FLOAT, Form.DOUBLE), "encode(float8send({}::float8), 'hex')"),
    Form.BYTES: "encode({}, 'hex')",
    Form.DATE: "encode(date_send({}), 'hex')",
    **dict.fromkeys((Form.TIME_MILLIS, Form.TIME_MICROS, Form.TIME_NANOS), "encode(time_send({}), 'hex')"),
    **dict.fromkeys(
        (Form.TIMESTAMP_MILLIS, Form.TIMESTAMP_MICROS, Form.TIMESTAMP_NANOS), "encode(timestamp_send({}), 'hex')"
    ),
    Form.ZONED_TIMESTAMP: "encode(timestamptz_send({}), 'hex')",
    Form.INTERVAL: "encode(interval_send({}), 'hex')",
}
_CUT = (Form.TIME_MILLIS, Form.TIMESTAMP_MILLIS)


def expression(column: Column, modes: Modes) -> sql.Composable | None:
    """What has PostgreSQL print a column's value as `text_of` does; None: it cannot."""
    value = avro.column_type(column, modes).value
    found = _EXPRESSIONS.get(value.form)
    if found is None or (value.form in _CUT and value.scale):
        return None
    return sql.SQL(found).format(sql.Identifier(column.name))


def text_of(schema: object) -> Text:
    """How values of an Avro type, which is no union, are printed."""
    if isinstance(schema, str):
        return _PLAIN.get(schema, _anything)
    if isinstance(schema, Mapping):
        name, type, logical = schema.get("connect.name"), schema.get("type"), schema.get("logicalType")
        if name in _BY_NAME:
            return _BY_NAME[str(name)]
        if logical == "decimal":
            return _decimal
        if isinstance(type, str):
            return _PLAIN.get(type, _anything)
    return _anything


def row_text(values: Iterable[str | None]) -> str:
    """Values as ROW(…)::text prints them."""
    return f"({','.join(map(_quoted, values))})"


def digest(text: str) -> Digest:
    """Of a row's text."""
    digits = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return int(digits[:_HALF], 16), int(digits[_HALF : 2 * _HALF], 16)


def bucket(text: str, buckets: int) -> int:
    """Which of so many buckets the key with this text is in."""
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:_BUCKET_DIGITS], 16) % buckets


def hash_of(expressions: Sequence[sql.Composable]) -> sql.Composable:
    """The MD5 of `row_text`, made by PostgreSQL."""
    row = sql.SQL(", ").join(expressions)
    return sql.SQL("md5(convert_to(ROW({})::text, 'UTF8'))").format(row)


def half(hash: sql.Composable, place: int) -> sql.Composable:
    """The first or second number of a digest, made by PostgreSQL from a hash."""
    return sql.SQL("('x' || substr({}, {}, {}))::bit(60)::bigint").format(
        hash, sql.Literal(place * _HALF + 1), sql.Literal(_HALF)
    )


def bucket_of(hash: sql.Composable, buckets: int) -> sql.Composable:
    """`bucket`, made by PostgreSQL from the hash of the key's text."""
    return sql.SQL("('x' || substr({}, 1, 4))::bit(16)::int % {}").format(hash, sql.Literal(buckets))


def _quoted(value: str | None) -> str:
    if value is None:
        return ""
    if value and not _QUOTED.search(value):
        return value
    doubled = value.replace("\\", "\\\\").replace('"', '""')
    return f'"{doubled}"'


def _anything(value: object) -> str:
    return repr(_meant(value))


def _meant(value: object) -> object:
    """An attribute that a record of an older schema does not have is null."""
    if isinstance(value, dict):
        return {name: _meant(item) for name, item in value.items() if item is not None}
    return [_meant(item) for item in value] if isinstance(value, list) else value


def _boolean(value: bool) -> str:
    return "t" if value else "f"


def _double(value: float) -> str:
    return struct.pack(">d", value).hex()


def _decimal(value: Decimal) -> str:
    return format(value, "f")


def _variable_decimal(value: Mapping[str, Any]) -> str:
    unscaled = Decimal(int.from_bytes(value["value"], "big", signed=True))
    return format(unscaled.scaleb(-value["scale"], _EXACT), "f")


def _long(value: int) -> str:
    return struct.pack(">q", value).hex()


def _date(value: int) -> str:
    return struct.pack(">i", value if value in _INT_ENDS else value - _EPOCH_DAYS).hex()


def _stamp(times: int, over: int) -> Text:
    def text(value: int) -> str:
        return _long(value if value in _LONG_ENDS else value * times // over - _EPOCH_MICROS)

    return text


def _zoned(value: str) -> str:
    if value in _INFINITIES:
        return _long(_LONG_ENDS[_INFINITIES.index(value)])
    try:
        year, rest = _YEAR.match(value), value
        turns = 0
        if year is not None:
            # datetime knows no year before 1 and none behind 9999; the calendar comes round.
            turns, near = divmod(int(year.group()) - _EPOCH.year, _TURN_YEARS)
            rest = f"{near + _EPOCH.year}{value[year.end() :]}"
        since = datetime.fromisoformat(rest) - _EPOCH
        days = since.days + turns * _TURN_DAYS
        return _long(days * _DAY_MICROS + since.seconds * 1_000_000 + since.microseconds)
    except (ValueError, struct.error):
        return value


def _interval(value: str) -> str:
    if value in _INFINITIES:
        end = _INFINITIES.index(value)
        return struct.pack(">qii", _LONG_ENDS[end], _INT_ENDS[end], _INT_ENDS[end]).hex()
    found = _INTERVAL.fullmatch(value)
    if found is None:
        return value
    years, months, days, hours, minutes = (int(part) for part in found.groups()[:5])
    sign, seconds, fraction = found.groups()[5:]
    micros = int(seconds) * 1_000_000 + int((fraction or "0").ljust(6, "0"))
    micros = (hours * 60 + minutes) * 60_000_000 + (-micros if sign else micros)
    return struct.pack(">qii", micros, days, years * 12 + months).hex()


_PLAIN: dict[str, Text] = {
    "int": str,
    "long": str,
    "boolean": _boolean,
    "float": _double,
    "double": _double,
    "bytes": bytes.hex,
    "string": str,
}
_TIME = "io.debezium.time."
_CONNECT = "org.apache.kafka.connect.data."
_BY_NAME: dict[str, Text] = {
    f"{_TIME}Date": _date,
    f"{_CONNECT}Date": _date,
    f"{_TIME}Time": lambda value: _long(value * 1000),
    f"{_CONNECT}Time": lambda value: _long(value * 1000),
    f"{_TIME}MicroTime": _long,
    f"{_TIME}NanoTime": lambda value: _long(value // 1000),
    f"{_TIME}Timestamp": _stamp(1000, 1),
    f"{_CONNECT}Timestamp": _stamp(1000, 1),
    f"{_TIME}MicroTimestamp": _stamp(1, 1),
    f"{_TIME}NanoTimestamp": _stamp(1, 1000),
    f"{_TIME}ZonedTimestamp": _zoned,
    f"{_TIME}Interval": _interval,
    "io.debezium.data.VariableScaleDecimal": _variable_decimal,
}
