"""Dates, times, timestamps and intervals, by `time.precision.mode` and `interval.handling.mode`.

Room: schema (pure). PostgreSQL manual, "Date/Time Types"; Debezium's PostgreSQL connector, "Temporal types".
"""

from __future__ import annotations

import re

from producer.schema.types.avro_type import AvroType, Modes, by_function, semantic
from producer.transcode.plan import Form, FormError, ValuePlan
from producer.transcode.source_block import long, string

_CONNECT = "org.apache.kafka.connect.data"
_DEBEZIUM = "io.debezium.time"
_MILLIS = 3
_DAY_MICROS = 86_400_000_000
# 30.4375 days, the mean of four years.
_MONTH_MICROS = 2_629_800_000_000
_LONG_MAX = 2**63 - 1

_ZONE = re.compile(rb"(\d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d)((?::\d\d){0,2})")
_STAMP = re.compile(rb"(\d{4,})(-\d\d-\d\d)(?: (\d\d:\d\d:\d\d(?:\.\d+)?))?( BC)?")
_INTERVAL = re.compile(
    rb"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?)(\d+)(?:\.(\d{1,6}))?S)?)?"
)
_REPORT = "this is a fault of the producer: report it with the column's type"


def date(_typmod: int, modes: Modes) -> AvroType:
    """date: days."""
    if modes.times == "isostring":
        return by_function(semantic(f"{_DEBEZIUM}.IsoDate", fallback=string("1970-01-01Z")), _iso)
    if modes.times == "connect":
        return semantic(f"{_CONNECT}.Date", "int", Form.DATE, logical="date")
    return semantic(f"{_DEBEZIUM}.Date", "int", Form.DATE, logical="date" if modes.logical_types else None)


def time(typmod: int, modes: Modes) -> AvroType:
    """time: since midnight."""
    if modes.times == "isostring":
        return by_function(semantic(f"{_DEBEZIUM}.IsoTime", fallback=string("00:00:00Z")), _iso_time)
    if modes.times == "connect":
        cut = ValuePlan(form=Form.TIME_MILLIS, scale=1)
        return semantic(f"{_CONNECT}.Time", "int", cut, logical="time-millis")
    if modes.times == "nanoseconds":
        return semantic(f"{_DEBEZIUM}.NanoTime", "long", Form.TIME_NANOS)
    if modes.times == "adaptive" and 0 <= typmod <= _MILLIS:
        logical = "time-millis" if modes.logical_types else None
        return semantic(f"{_DEBEZIUM}.Time", "int", Form.TIME_MILLIS, logical=logical)
    logical = "time-micros" if modes.logical_types else None
    return semantic(f"{_DEBEZIUM}.MicroTime", "long", Form.TIME_MICROS, logical=logical)


def timestamp(typmod: int, modes: Modes) -> AvroType:
    """timestamp without time zone: since the epoch."""
    if modes.times == "isostring":
        epoch = string("1970-01-01T00:00:00Z")
        return by_function(semantic(f"{_DEBEZIUM}.IsoTimestamp", fallback=epoch), _iso)
    if modes.times == "connect":
        cut = ValuePlan(form=Form.TIMESTAMP_MILLIS, scale=1)
        return semantic(f"{_CONNECT}.Timestamp", "long", cut, logical="timestamp-millis")
    if modes.times == "nanoseconds":
        return semantic(f"{_DEBEZIUM}.NanoTimestamp", "long", Form.TIMESTAMP_NANOS)
    if modes.times in ("adaptive", "adaptive_time_microseconds") and 0 <= typmod <= _MILLIS:
        logical = "local-timestamp-millis" if modes.logical_types else None
        return semantic(f"{_DEBEZIUM}.Timestamp", "long", Form.TIMESTAMP_MILLIS, logical=logical)
    logical = "local-timestamp-micros" if modes.logical_types else None
    return semantic(f"{_DEBEZIUM}.MicroTimestamp", "long", Form.TIMESTAMP_MICROS, logical=logical)


def timestamptz(_typmod: int, _modes: Modes) -> AvroType:
    """timestamp with time zone: text in UTC, in every mode."""
    epoch = string("1970-01-01T00:00:00.000000Z")
    return semantic(f"{_DEBEZIUM}.ZonedTimestamp", value=Form.ZONED_TIMESTAMP, fallback=epoch)


def timetz(_typmod: int, _modes: Modes) -> AvroType:
    """time with time zone: text with its own offset, in every mode."""
    return by_function(semantic(f"{_DEBEZIUM}.ZonedTime", fallback=string("00:00:00Z")), zoned_time)


def interval(_typmod: int, modes: Modes) -> AvroType:
    """interval: text with every field, or about so many microseconds."""
    if modes.intervals == "numeric":
        return by_function(semantic(f"{_DEBEZIUM}.MicroDuration", "long"), micro_duration)
    return semantic(f"{_DEBEZIUM}.Interval", value=Form.INTERVAL, fallback=string("P0Y0M0DT0H0M0S"))


def zoned_time(text: bytes) -> bytes:
    """A timetz's text -> `13:51:30.123789+02:00`, a zero offset as `Z`; an Avro string."""
    found = _ZONE.fullmatch(text)
    if found is None:
        raise FormError("the value is not the time that its type promises", _REPORT)
    clock, hours, rest = found.groups()
    offset = hours + (rest or b":00")
    zero = not offset.translate(None, b"+-0:")
    whole = clock + (b"Z" if zero else offset)
    return long(len(whole)) + whole


def micro_duration(text: bytes) -> bytes:
    """An interval's iso_8601 text -> microseconds, a month being 30.4375 days; an Avro long."""
    found = _INTERVAL.fullmatch(text)
    if found is None or text.endswith((b"P", b"T")):
        raise FormError(
            "an interval that is infinite has no length"
            if text.endswith(b"infinity")
            else "the value is not the interval that its type promises",
            "set interval.handling.mode=string",
        )
    years, months, days, hours, minutes = (int(part or 0) for part in found.groups()[:5])
    sign, seconds, fraction = found.groups()[5:]
    micros = int(seconds or 0) * 1_000_000 + int((fraction or b"0").ljust(6, b"0"))
    micros = -micros if sign else micros
    total = (years * 12 + months) * _MONTH_MICROS + days * _DAY_MICROS + (hours * 60 + minutes) * 60_000_000 + micros
    if not -_LONG_MAX <= total <= _LONG_MAX:
        raise FormError("the interval is longer than a long can count", "set interval.handling.mode=string")
    return long(total)


def _iso_time(text: bytes) -> bytes:
    return long(len(text) + 1) + text + b"Z"


def _iso(text: bytes) -> bytes:
    """A date's or timestamp's text -> ISO 8601 with `Z`, astronomical years; infinities as they are."""
    if text in (b"infinity", b"-infinity"):
        return long(len(text)) + text
    found = _STAMP.fullmatch(text)
    if found is None:
        raise FormError("the value is not the date that its type promises", _REPORT)
    year, day, clock, bc = found.groups()
    if bc:
        year = b"%04d" % (1 - int(year)) if int(year) == 1 else b"-%04d" % (int(year) - 1)
    elif len(year) > 4:
        year = b"+" + year
    whole = year + day + (b"T" + clock if clock else b"") + b"Z"
    return long(len(whole)) + whole
