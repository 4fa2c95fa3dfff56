"""Dates, times, timestamps and intervals: days and microseconds as PostgreSQL's own arithmetic tells them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.oracle.kinds import REFUSED, Kind, scalar

_DAY = 86_400_000_000
_CLOCK = "round(extract(epoch FROM {t}::time)::numeric * 1000000)::bigint"
_EPOCH_DAYS = "({d}::date - DATE '1970-01-01')"
# Days after 4714-11-24 BC, the first day that PostgreSQL knows.
_TIMESTAMP_DAYS = 109_203_527
_DATE_DAYS = 2_147_483_493
_FIRST = "4714-11-24 BC"


def _micros(hours: int, micros: int) -> str:
    seconds, micros = divmod(micros, 1_000_000)
    return f"{hours:02d}:{seconds // 60:02d}:{seconds % 60:02d}.{micros:06d}"


CLOCKS = st.builds(_micros, st.integers(0, 23), st.integers(0, 3_599_999_999)) | st.just("24:00:00")


def _civil(days: int) -> tuple[int, int, int]:
    """Howard Hinnant's civil_from_days."""
    days += 719468
    era, of_era = divmod(days, 146097)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return year + era * 400 + (month <= 2), month, day


def _text_of(days: int) -> str:
    year, month, day = _civil(days)
    return f"{year:04d}-{month:02d}-{day:02d}" if year > 0 else f"{1 - year:04d}-{month:02d}-{day:02d} BC"


def _with_clock(days: int, clock: str) -> str:
    day, bc, _ = _text_of(days).partition(" BC")
    return f"{day} {clock}{bc}"


# Around now as often as anywhere.
_DATES = (st.integers(-2_440_588 + 1, _DATE_DAYS - 2_440_588) | st.integers(-40000, 40000)).map(_text_of)
_DAYS_OF_STAMPS = st.integers(-2_440_580, _TIMESTAMP_DAYS - 2_440_600) | st.integers(-40000, 40000)
_STAMPS = st.builds(_with_clock, _DAYS_OF_STAMPS, CLOCKS)
_STAMP_EXTREMES: tuple[str, ...] = (
    "infinity", "-infinity", "1970-01-01 00:00", "1969-12-31 23:59:59.999999", "2016-11-04 13:51:30.123456",
    "4714-11-24 00:00:00 BC", "4713-12-31 23:59:59.999999 BC", "0001-01-01 00:00 BC", "0001-12-31 23:59:59 BC",
    "0001-01-01 00:00", "9999-12-31 23:59:59.999999", "10000-01-01 00:00", "21016-11-04 06:51:30",
    "294247-01-10 04:00:54.775806", "294247-01-10 04:00:54.775807", "294276-12-31 23:59:59.999999",
)  # fmt: skip


def _date(value: Any) -> int:
    return {"infinity": 2**31 - 1, "-infinity": -(2**31)}.get(str(value), value)  # type: ignore[no-any-return]


def _stamp(unit: int, value: Any) -> Any:
    if isinstance(value, str):
        return {"infinity": 2**63 - 1, "-infinity": -(2**63)}[value]
    days, micros = value
    total = days * _DAY + micros
    if unit == 1 and not -(2**63) < total < 2**63 - 1:
        return REFUSED
    assert total % unit == 0
    return total // unit


def zoned(value: Any) -> Any:
    if isinstance(value, str):
        return value
    days, micros = value
    year, month, day = _civil(days)
    shown = f"{year:04d}" if 0 <= year <= 9999 else f"+{year}" if year > 0 else f"-{-year:04d}"
    return f"{shown}-{month:02d}-{day:02d}T{_micros(micros // 3_600_000_000, micros % 3_600_000_000)}Z"


def _timetz(value: list[Any]) -> str:
    clock, offset = value
    if not offset:
        return f"{clock}Z"
    hours, rest = divmod(abs(offset), 3600)
    seconds = f":{rest % 60:02d}" if rest % 60 else ""
    return f"{clock}{'-' if offset < 0 else '+'}{hours:02d}:{rest // 60:02d}{seconds}"


def _interval(value: list[Any]) -> str:
    years, months, days, hours, minutes, micros = (int(str(part).partition(".")[0]) for part in value)
    seconds, fraction = divmod(abs(micros), 1_000_000)
    shown = f"{'-' if micros < 0 else ''}{seconds}" + (f".{fraction:06d}".rstrip("0") if fraction else "")
    return f"P{years}Y{months}M{days}DT{hours}H{minutes}M{shown}S"


def _stamps(type: str, unit: int, v: str) -> Kind:
    finite = f"json_build_array({_EPOCH_DAYS.replace('{d}', v)}, {_CLOCK.replace('{t}', v)})"
    render = f"CASE WHEN isfinite({{v}}) THEN {finite} ELSE to_json({{v}}::text) END"
    # A coarser type would round the last microsecond up, beyond what PostgreSQL knows.
    extremes = _STAMP_EXTREMES if type in ("timestamp", "timestamptz") else _STAMP_EXTREMES[:-1]
    if type.startswith("timestamptz"):
        extremes = tuple(f"{text} +00" if text[-1].isdigit() else text.replace(" BC", " +00 BC") for text in extremes)
        return scalar(type, _STAMPS.map(lambda text: text.replace(" BC", "+00 BC") if "BC" in text else text + "+00"),
                      extremes, render, zoned)  # fmt: skip
    return scalar(type, _STAMPS, extremes, render, lambda value: _stamp(unit, value))


_OFFSETS = st.integers(-15 * 3600 - 59 * 60 - 59, 15 * 3600 + 59 * 60 + 59)


def _offset(seconds: int) -> str:
    hours, rest = divmod(abs(seconds), 3600)
    return f"{'-' if seconds < 0 else '+'}{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"


_PARTS = ("year", "month", "day", "hour", "minute", "microseconds")
_INTERVALS = st.builds(
    lambda months, days, micros: f"{months} months {days} days {micros} microseconds",
    st.integers(-(2**31) + 1, 2**31 - 1) | st.integers(-30, 30),
    st.integers(-(2**31) + 1, 2**31 - 1) | st.integers(-40, 40),
    st.integers(-(2**53), 2**53) | st.integers(-(10**8), 10**8),
)
KINDS = [
    scalar("date", _DATES, ("infinity", "-infinity", "2016-11-04", "1970-01-01", _FIRST, "5874897-12-31",
                            "0001-01-01 BC", "0001-12-31 BC", "0001-01-01", "10000-01-01", "2000-02-29"),
           "CASE WHEN isfinite({v}) THEN to_json({v} - DATE '1970-01-01') ELSE to_json({v}::text) END", _date),
    *(scalar(type, CLOCKS, ("00:00", "24:00:00", "13:51:30.123456", "23:59:59.999999", "13:51:30.123", "0:0:0.000001"),
             _CLOCK.replace("{t}", "{v}"), expect)
      for type, expect in (("time", int), ("time(6)", int), ("time(4)", int), ("time(0)", lambda v: int(v) // 1000),
                           ("time(3)", lambda v: int(v) // 1000))),
    *(scalar(type, st.builds(lambda clock, offset: clock + _offset(offset), CLOCKS, _OFFSETS),
             ("00:00+00", "24:00:00+00", "24:00:00-15:59:59", "13:51:30.123789+02", "08:00-00:30", "12:00+05:30"),
             "json_build_array(({v}::time)::text, extract(timezone FROM {v})::int)", _timetz)
      for type in ("timetz", "timetz(2)")),
    _stamps("timestamp", 1, "{v}"),
    _stamps("timestamp(4)", 1, "{v}"),
    _stamps("timestamp(3)", 1000, "{v}"),
    _stamps("timestamp(0)", 1000, "{v}"),
    _stamps("timestamptz", 1, "({v} AT TIME ZONE 'UTC')"),
    _stamps("timestamptz(2)", 1, "({v} AT TIME ZONE 'UTC')"),
    scalar("interval", _INTERVALS,
           ("0", "1 year 2 mons 3 days 4:05:06.78", "-1 year 3 days -0.5 seconds", "178000000 years",
            "-178000000 years", "-1 mons +1 day", "-0.000001 seconds", "2562047788 hours", "-11 mons",
            "1 day -1 microsecond"),
           f"json_build_array({', '.join(f'extract({part} FROM {{v}})::text' for part in _PARTS)})", _interval),
]  # fmt: skip
