"""Dates, times, timestamps and intervals: PostgreSQL's ISO text -> Avro.

Room: transcode (pure). PostgreSQL manual, "Date/Time Types"; the session is pinned to
DateStyle ISO, TimeZone UTC and IntervalStyle iso_8601. Types are in temporal.pxd.
"""

from __future__ import annotations

import re

import cython

from producer.transcode.plan import FormError

if not cython.compiled:
    from producer.transcode.writer import Writer

_DAY_MICROS = 86_400_000_000
_LONG_MAX = 9223372036854775807
_DAY_MILLIS = 86_400_000
# 5874897-12-31 is the last day that PostgreSQL knows; 2^31 of them are no overflow anywhere.
_FAR_DAYS = 2_147_483_648
# 294247-01-10 04:00:54.775807: the last microsecond that a long can count is the infinity's.
_LAST_DAY = 106_751_991
_LAST_MICROS = 14_454_775_807
# Microseconds whose nanoseconds a long can count.
_LAST_NANOS = 9_223_372_036_854_775
_INTERVAL = re.compile(
    rb"P(?:(-?[0-9]+)Y)?(?:(-?[0-9]+)M)?(?:(-?[0-9]+)D)?"
    rb"(?:T(?:(-?[0-9]+)H)?(?:(-?[0-9]+)M)?(?:(-?[0-9]+(?:\.[0-9]+)?)S)?)?"
)
_REPORT = "this is a fault of the producer: report it with the column's type"


def _malformed() -> FormError:
    return FormError("the value is not the date or time that its type promises", _REPORT)


@cython.cfunc
@cython.exceptval(-1)
def _number(source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
    """Up to 9 digits."""
    number: cython.longlong = 0
    digit: cython.int
    i: cython.Py_ssize_t = start
    if end - start < 1 or end - start > 9:
        raise _malformed()
    while i < end:
        digit = source[i] - 48
        if digit < 0 or digit > 9:
            raise _malformed()
        number = number * 10 + digit
        i += 1
    return number


@cython.cfunc
@cython.exceptval(-1, check=True)
def _infinite(source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    """1 for infinity, 2 for -infinity, 0 for anything else."""
    if source[start] == 105 and source[start:end] == b"infinity":
        return 1
    if source[start] == 45 and source[start:end] == b"-infinity":
        return 2
    return 0


@cython.cfunc
@cython.exceptval(-1, check=True)
def _is_bc(source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
    return end - start > 3 and source[end - 1] == 67 and source[end - 2] == 66 and source[end - 3] == 32


@cython.cfunc
@cython.exceptval(-1)
def _year_end(source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Where the year's digits end."""
    i: cython.Py_ssize_t = start
    while i < end and source[i] != 45:
        i += 1
    if i - start < 4 or i + 6 > end or source[i + 3] != 45:
        raise _malformed()
    return i


@cython.cfunc
@cython.exceptval(check=False)
def _month_days(year: cython.longlong, month: cython.longlong) -> cython.int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


@cython.cfunc
@cython.exceptval(-9223372036854775807, check=True)
def _days(source: bytes, start: cython.Py_ssize_t, dash: cython.Py_ssize_t, bc: cython.bint) -> cython.longlong:
    """Days since 1970-01-01 in the proleptic Gregorian calendar; `dash` is behind the year."""
    year: cython.longlong = _number(source, start, dash)
    month: cython.longlong = _number(source, dash + 1, dash + 3)
    day: cython.longlong = _number(source, dash + 4, dash + 6)
    era: cython.longlong
    of_era: cython.longlong
    of_year: cython.longlong
    if month < 1 or month > 12 or day < 1 or day > 31:
        raise _malformed()
    if bc:
        year = 1 - year
    if day > 28 and day > _month_days(year, month):
        raise _malformed()
    if month <= 2:
        year -= 1
        month += 12
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3) + 2) // 5 + day - 1
    days: cython.longlong = era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
    if days >= _FAR_DAYS or days <= -_FAR_DAYS:
        raise _malformed()
    return days


@cython.cfunc
@cython.exceptval(-1)
def _micros(source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
    """hh:mm:ss[.ffffff] as microseconds."""
    micros: cython.longlong
    digits: cython.Py_ssize_t
    if end - start < 8 or source[start + 2] != 58 or source[start + 5] != 58:
        raise _malformed()
    hours: cython.longlong = _number(source, start, start + 2)
    minutes: cython.longlong = _number(source, start + 3, start + 5)
    seconds: cython.longlong = _number(source, start + 6, start + 8)
    if hours > 24 or minutes > 59 or seconds > 60:
        raise _malformed()
    micros = (hours * 3600 + minutes * 60 + seconds) * 1_000_000
    if end - start > 8:
        digits = end - start - 9
        if source[start + 8] != 46 or digits < 1 or digits > 6:
            raise _malformed()
        fraction: cython.longlong = _number(source, start + 9, end)
        while digits < 6:
            fraction *= 10
            digits += 1
        micros += fraction
    return micros


def write_date(out: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    """A date -> int, days since 1970-01-01; the infinities are int's ends."""
    infinite: cython.int = _infinite(source, start, end)
    if infinite:
        return out.long(2147483647 if infinite == 1 else -2147483648)
    bc: cython.bint = _is_bc(source, start, end)
    last: cython.Py_ssize_t = end - 3 if bc else end
    dash: cython.Py_ssize_t = _year_end(source, start, last)
    if dash + 6 != last:
        raise _malformed()
    return out.long(_days(source, start, dash, bc))


def write_time(
    out: Writer,
    source: bytes,
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    form: cython.int,
    cut: cython.bint,
) -> cython.int:
    """A time -> int milliseconds, long microseconds or nanoseconds since midnight, by its form."""
    micros: cython.longlong = _micros(source, start, end)
    if form == 11:
        return out.long(micros)
    if form == 20:
        return out.long(micros * 1000)
    if micros % 1000 and not cut:
        raise _finer()
    return out.long(micros // 1000)


def write_timestamp(
    out: Writer,
    source: bytes,
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    form: cython.int,
    cut: cython.bint,
) -> cython.int:
    """A timestamp -> long since the epoch, in the unit of its form; the infinities are long's ends."""
    infinite: cython.int = _infinite(source, start, end)
    if infinite:
        # ~x is -x - 1: a literal of the lowest long is no literal of C.
        return out.long(_LONG_MAX if infinite == 1 else ~_LONG_MAX)
    bc: cython.bint = _is_bc(source, start, end)
    last: cython.Py_ssize_t = end - 3 if bc else end
    dash: cython.Py_ssize_t = _year_end(source, start, last)
    if source[dash + 6] != 32:
        raise _malformed()
    days: cython.longlong = _days(source, start, dash, bc)
    micros: cython.longlong = _micros(source, dash + 7, last)
    if form == 12:
        if micros % 1000 and not cut:
            raise _finer()
        return out.long(days * _DAY_MILLIS + micros // 1000)
    if form == 21:
        return _write_nanos(out, days, micros)
    if days > _LAST_DAY or (days == _LAST_DAY and micros >= _LAST_MICROS) or days < -_LAST_DAY:
        raise FormError(
            "the timestamp lies beyond what microseconds in a long can say (294247-01-10)",
            "set time.precision.mode=connect (milliseconds), or mend the row",
        )
    return out.long(days * _DAY_MICROS + micros)


@cython.cfunc
def _write_nanos(out: Writer, days: cython.longlong, micros: cython.longlong) -> cython.int:
    if days < _LAST_DAY and days > -_LAST_DAY:
        micros += days * _DAY_MICROS
        if micros < _LAST_NANOS and micros > -_LAST_NANOS:
            return out.long(micros * 1000)
    raise FormError(
        "the timestamp lies beyond what nanoseconds in a long can say (1677 to 2262)",
        "set time.precision.mode=adaptive (microseconds), or mend the row",
    )


def _finer() -> FormError:
    return FormError(
        "the value is finer than the milliseconds of its type", "the table's type was changed: see the log"
    )


def write_zoned_timestamp(out: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    """A timestamptz printed in UTC -> string, six fraction digits, astronomical years."""
    if _infinite(source, start, end):
        return out.string(source, start, end)
    bc: cython.bint = _is_bc(source, start, end)
    last: cython.Py_ssize_t = end - 3 if bc else end
    dash: cython.Py_ssize_t = _year_end(source, start, last)
    digits: cython.Py_ssize_t
    if last - dash < 18 or source[last - 3] != 43 or source[last - 2] != 48 or source[last - 1] != 48:
        raise FormError("the timestamp is not printed in UTC", _REPORT)
    if source[dash + 6] != 32:
        raise _malformed()
    last -= 3
    _days(source, start, dash, bc)
    _micros(source, dash + 7, last)
    if bc or dash - start > 4:
        year = _year(source[start:dash], bc)
        out.long(len(year) + 23)
        out.raw(year)
    else:
        out.long(27)
        out.copy(source, start, dash)
    out.copy(source, dash, dash + 6)
    out.put(84)
    out.copy(source, dash + 7, dash + 15)
    out.put(46)
    digits = 0
    if last > dash + 15:
        digits = last - dash - 16
        out.copy(source, dash + 16, last)
    while digits < 6:
        out.put(48)
        digits += 1
    return out.put(90)


def read_utc(source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
    """A timestamptz printed in UTC, of our era, as microseconds since the epoch; -1: it is another kind.

    Raises:
        FormError: it is no timestamp.
    """
    dash: cython.Py_ssize_t = start + 4
    if end - start < 22 or source[dash] != 45 or source[dash + 3] != 45 or source[dash + 6] != 32:
        return -1
    if source[end - 3] != 43 or source[end - 2] != 48 or source[end - 1] != 48:
        return -1
    days: cython.longlong = _days(source, start, dash, False)
    micros: cython.longlong = _micros(source, dash + 7, end - 3)
    # A leap second and the end of a day are no server's.
    if days < 0 or micros >= _DAY_MICROS or source[dash + 13] == 54:
        return -1
    return days * _DAY_MICROS + micros


def _year(text: bytes, bc: bool) -> bytes:
    if not bc:
        return b"+" + text
    year = 1 - int(text)
    return b"0000" if year == 0 else b"-%04d" % -year


def write_interval(out: Writer, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    """An interval in iso_8601 -> string with every field written."""
    text: bytes = source[start:end]
    if text in (b"infinity", b"-infinity"):
        return out.string(text, 0, len(text))
    found = _INTERVAL.fullmatch(text)
    # A lone P or T is no interval: the server prints zero as PT0S.
    if found is None or text.endswith((b"P", b"T")):
        raise _malformed()
    whole: bytes = b"P%bY%bM%bDT%bH%bM%bS" % found.groups(b"0")
    return out.string(whole, 0, len(whole))
