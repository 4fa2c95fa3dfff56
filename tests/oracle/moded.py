"""The same types under the settings that send them otherwise."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from producer.schema.types import Modes
from tests.oracle import made, scalars, times
from tests.oracle.kinds import REFUSED, Kind, array, quoted, scalar

_PREFIX = "shop"
_LONG = 2**63 - 1
_DAY = 86_400_000_000
_DOUBLE = "encode(float8send({v}::float8), 'hex')"


def _double(value: str) -> float:
    found: float = struct.unpack(">d", bytes.fromhex(value))[0]
    return found


def _by(sql: str) -> Kind:
    return next(kind for kind in made.SCALARS if kind.sql == sql)


def _kind(kind: Kind, mode: str, expect: Callable[[Any], Any], render: str = "", **modes: Any) -> Kind:
    """A kind under a mode; its rendering is kept where none is given."""
    how = (lambda v: render.replace("{v}", v)) if render else kind.render
    return replace(kind, name=f"{kind.sql} {mode}", modes=Modes(prefix=_PREFIX, **modes), render=how, expect=expect)


# What PostgreSQL's own cast to double takes.
_NUMERIC = scalar(
    "numeric",
    st.decimals(allow_nan=False, allow_infinity=False, places=9).map(lambda number: format(number, "f")),
    ("0", "1.50000", "-0.1", "1e308", "4e-324", "9007199254740993", "0.1000000000000000055511151231257827", "NaN",
     "Infinity", "-Infinity"),
    _DOUBLE, _double,
)  # fmt: skip


def _stamp(multiply: int, divide: int, limit: int) -> Callable[[Any], Any]:
    def expect(value: Any) -> Any:
        if isinstance(value, str):
            return {"infinity": _LONG, "-infinity": ~_LONG}[value]
        micros = value[0] * _DAY + value[1]
        return REFUSED if abs(micros) >= limit else micros * multiply // divide

    return expect


def _iso(value: Any) -> str:
    """The zoned form of `times`, with the fraction as the server prints it."""
    if isinstance(value, str):
        return value
    whole = str(times.zoned(value))[:-1]
    return whole.rstrip("0").rstrip(".") + "Z" if "." in whole else whole + "Z"


def _iso_date(value: Any) -> str:
    # An infinity, or days.
    return str(value) if isinstance(value, str) else f"{times.zoned([value, 0]).partition('T')[0]}Z"


def _duration(value: list[Any]) -> Any:
    years, months, days, hours, minutes, micros = (int(str(part).partition(".")[0]) for part in value)
    total = (years * 12 + months) * 2_629_800_000_000 + days * _DAY + (hours * 60 + minutes) * 60_000_000 + micros
    return total if abs(total) <= _LONG else REFUSED


def _fixed(digits: int) -> Callable[[str], Any]:
    def expect(value: str) -> Any:
        with_two = int(value)
        if digits < 2 and with_two % 10 ** (2 - digits):
            return REFUSED
        return Decimal(with_two).scaleb(-2).quantize(Decimal(1).scaleb(-digits))

    return expect


_MONEY = replace(
    _by("money"),
    literals=st.integers(-(10**14), 10**14).map(lambda n: quoted(f"{n}e-2", "numeric")).map(lambda n: f"{n}::money"),
    extremes=("'-1234.50'::money", "'0'::money", "'-0.01'::money", "'128'::money"),
)
_TEXTS = array(_by("text"), 2)

KINDS = [
    _kind(_NUMERIC, "double", _double, decimals="double"),
    _kind(_by("numeric(18,4)"), "double", _double, _DOUBLE, decimals="double"),
    _kind(_by("numeric"), "string", str, "({v} + 0)::text", decimals="string"),
    _kind(_by("numeric(3,2)"), "string", str, "({v} + 0)::text", decimals="string"),
    _kind(_MONEY, "double", lambda value: int(value) / 100, decimals="double"),
    _kind(_MONEY, "string", lambda value: format(Decimal(value).scaleb(-2), "f"), decimals="string"),
    *(_kind(_MONEY, f"digits {digits}", _fixed(digits), money_digits=digits) for digits in (0, 1, 3)),
    _kind(_by("time"), "connect", lambda value: int(value) // 1000, times="connect"),
    _kind(_by("timestamp"), "connect", _stamp(1, 1000, 2**70), times="connect"),
    _kind(_by("timestamp(3)"), "connect", _stamp(1, 1000, 2**70), times="connect"),
    _kind(_by("date"), "connect", _by("date").expect, times="connect"),
    _kind(_by("time(3)"), "microseconds", int, times="microseconds"),
    _kind(_by("timestamp(3)"), "microseconds", _stamp(1, 1, _LONG), times="microseconds"),
    _kind(_by("time(0)"), "adaptive_time_microseconds", int, times="adaptive_time_microseconds"),
    _kind(_by("time"), "nanoseconds", lambda value: int(value) * 1000, times="nanoseconds"),
    _kind(_by("timestamp"), "nanoseconds", _stamp(1000, 1, _LONG // 1000), times="nanoseconds"),
    _kind(_by("time"), "isostring", lambda value: f"{value}Z", "{v}::text", times="isostring"),
    _kind(_by("date"), "isostring", _iso_date, times="isostring"),
    _kind(_by("timestamp"), "isostring", _iso, times="isostring"),
    _kind(_by("timestamptz"), "isostring", _by("timestamptz").expect, times="isostring"),
    _kind(_by("interval"), "numeric", _duration, intervals="numeric"),
    _kind(_by("hstore"), "map", dict, hstores="map"),
    _kind(_by("bytea"), "base64", lambda v: v, "replace(encode({v}, 'base64'), E'\\n', '')", binaries="base64"),
    _kind(_by("bytea"), "base64-url-safe", lambda v: base64.urlsafe_b64encode(base64.b64decode(v)).decode(),
          binaries="base64-url-safe"),
    _kind(_by("bytea"), "hex", lambda v: v, "encode({v}, 'hex')", binaries="hex"),
    _kind(_TEXTS, "string", scalars.text_of, "encode(convert_to({v}::text, 'UTF8'), 'hex')", arrays="string"),
]  # fmt: skip
