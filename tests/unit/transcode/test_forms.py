"""Each form's edges: one column's bytes, from JSON and from COPY, in both builds."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from producer.transcode.plan import ColumnPlan, Form, TablePlan, ValuePlan

Build = dict[str, Any]


def plan(form: Form, *, scale: int = 0, element: Form | None = None, function: Any = None) -> TablePlan:
    """A table of one key column: its key is the value's Avro body, nothing else."""
    value = ValuePlan(form=form, scale=scale, function=function)
    if element is not None:
        value = ValuePlan(form=form, element=ValuePlan(form=element, scale=scale, function=function))
    return table(value)


def table(value: ValuePlan) -> TablePlan:
    """As `plan`, of any value."""
    column = ColumnPlan(name="v", head=b'{"name":"v","typeoid":1,"value":', value=value, nullable=False)
    return TablePlan(
        topic="t", columns=(column,), key=(0,), key_frame=b"", value_frame=b"", names=b"",
        json_names=b'"schema":"s","table":"t"',
    )  # fmt: skip


def body(build: Build, made_of: TablePlan, text: str) -> bytes:
    """The Avro body of a printed value: the same from both sources."""
    walker = build["walker"].Walker()
    walker.install(made_of)
    walker.begin(build["source_block"].Parts(b',"lsn":"', b"", b"", b"", b"", b""))
    shown = json.dumps(text, ensure_ascii=False)
    row = '{"action":"I","lsn":"0/1","schema":"s","table":"t","columns":[{"name":"v","typeoid":1,"value":' + shown
    assert walker.row((row + "}]}").encode(), 0, 1) == build["walker"].RECORD
    streamed: bytes = walker.key
    walker.copy_row(text.replace("\\", "\\\\").encode() + b"\n", made_of, 1)
    assert walker.key == streamed
    return streamed


def long(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def sized(data: bytes) -> bytes:
    return long(len(data)) + data


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        # Between two floats as a double: rounding twice takes the wrong one (float4's own regression test).
        ("7.038531e-26", 0x15AE43FD),
        ("1.1754944e-38", 0x00800000),
        ("1e-45", 0x00000001),
        ("3.4028235e+38", 0x7F7FFFFF),
        ("-0", 0x80000000),
        ("0.1", 0x3DCCCCCD),
        ("16777217", 0x4B800000),
        ("Infinity", 0x7F800000),
        ("-Infinity", 0xFF800000),
        ("NaN", 0x7FC00000),
    ],
)
def test_a_float_is_the_nearest_one(build: Build, text: str, bits: int) -> None:
    """As strtof reads it, never by way of a rounded double."""
    assert body(build, plan(Form.FLOAT), text) == struct.pack("<I", bits)


@pytest.mark.parametrize("digits", [18, 19, 20, 4300, 4301, 60_000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_numeric_of_any_width_is_exact(build: Build, digits: int, sign: str) -> None:
    """Python's int() refuses more than 4300 digits at once; a numeric has up to 147,455."""
    text = sign + ("1234567890" * (digits // 10 + 1))[:digits] + ".25"
    written = body(build, plan(Form.VARIABLE_DECIMAL), text)
    assert written[:1] == long(2)
    assert body(build, plan(Form.DECIMAL, scale=2), text) == written[1:]
    size, shift, at = 0, 0, 1
    while True:
        size |= (written[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if written[at - 1] < 0x80:
            break
    value = int.from_bytes(written[at:], "big", signed=True)
    assert len(written) - at == size // 2
    # Compared piece by piece: str() of such a number is refused as well.
    expected = int(text[-1002:].replace("-", "").replace(".", ""))
    assert abs(value) % 10 ** len(str(expected)) == expected
    assert (value < 0) == (sign == "-")
    assert value.bit_length() > (digits + 1) * 3.32


@pytest.mark.parametrize(("text", "fits"), [("0012.30", True), ("-12.3", True), ("0", True), ("123.4", False)])
def test_a_decimal_of_more_digits_than_its_precision(build: Build, text: str, fits: bool) -> None:
    """A reader would round it: another shape."""
    made_of = table(ValuePlan(form=Form.DECIMAL, scale=2, precision=4))
    if fits:
        assert body(build, made_of, text) == body(build, plan(Form.DECIMAL, scale=2), text)
        return
    with pytest.raises(build["plan"].FormError, match="5 digits, its type 4"):
        body(build, made_of, text)


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        (Form.BOOLEAN, "t", b"\x01"),
        (Form.BOOLEAN, "true", b"\x01"),
        (Form.BOOLEAN, "f", b"\x00"),
        (Form.BOOLEAN, "false", b"\x00"),
        (Form.BYTES, "", b"\x00"),
        (Form.BYTES, "\\x", b"\x00"),
        (Form.BYTES, "deadbeef00", b"\x0a\xde\xad\xbe\xef\x00"),
        (Form.BYTES, "\\xdeadbeef00", b"\x0a\xde\xad\xbe\xef\x00"),
        (Form.DATE, "2000-02-29", long(11016)),
        (Form.DATE, "0001-01-01", long(-719162)),
        (Form.DATE, "0001-12-31 BC", long(-719163)),
        (Form.DATE, "4714-11-24 BC", long(-2440588)),
        (Form.DATE, "infinity", long(2**31 - 1)),
        (Form.TIME_MILLIS, "24:00:00", long(86_400_000)),
        (Form.TIME_MICROS, "00:00:00.000001", long(1)),
        (Form.TIMESTAMP_MICROS, "1969-12-31 23:59:59.999999", long(-1)),
        (Form.TIMESTAMP_MICROS, "294247-01-10 04:00:54.775806", long(2**63 - 2)),
        (Form.TIMESTAMP_MICROS, "4714-11-24 00:00:00 BC", long(-210866803200000000)),
        (Form.TIMESTAMP_MILLIS, "294276-12-31 23:59:59.999", long(9224318015999999)),
        (Form.TIMESTAMP_MILLIS, "infinity", long(2**63 - 1)),
        (Form.ZONED_TIMESTAMP, "-infinity", sized(b"-infinity")),
        (Form.ZONED_TIMESTAMP, "9999-12-31 23:59:59.000001+00", sized(b"9999-12-31T23:59:59.000001Z")),
        (Form.ZONED_TIMESTAMP, "10000-01-01 00:00:00+00", sized(b"+10000-01-01T00:00:00.000000Z")),
        (Form.INTERVAL, "P-1Y-2M3DT-4H-5M-6.789S", sized(b"P-1Y-2M3DT-4H-5M-6.789S")),
        (Form.INTERVAL, "P3M", sized(b"P0Y3M0DT0H0M0S")),
        (Form.INTERVAL, "PT3M", sized(b"P0Y0M0DT0H3M0S")),
        (Form.INTERVAL, "PT-0.000001S", sized(b"P0Y0M0DT0H0M-0.000001S")),
        (Form.INTERVAL, "infinity", sized(b"infinity")),
    ],
)
def test_a_value_at_the_edge(build: Build, form: Form, text: str, expected: bytes) -> None:
    """Known bytes."""
    assert body(build, plan(form), text) == expected


@pytest.mark.parametrize(
    ("form", "text"),
    [
        *((Form.LONG, text) for text in ("", "-", "1_0", "1 ", "+1", "1234567890123456789_", "--123456789012345678")),
        *((Form.BOOLEAN, text) for text in ("", "tomato", "T", "1", "yes")),
        *((Form.DOUBLE, text) for text in ("", "1_0", " 1", "nan", "inf", "0x10")),
        *((Form.FLOAT, text) for text in ("", "1e39", "e", "infinity")),
        *((Form.DECIMAL, text) for text in ("", "-", ".", "1e5", "1.5", "1..5", "+1", "1-1")),
        *((Form.BYTES, text) for text in ("a", "xy", "\\xa", "\\000")),
        *((Form.DATE, text) for text in ("2024-13-01", "24-01-01", "2024-01-01 AD", "999999999-01-01", "infinite")),
        *((Form.TIME_MICROS, text) for text in ("25:00:00", "12:60:00", "12:00", "12:00:00.", "12:00:00.1234567")),
        (Form.TIME_MILLIS, "12:00:00.1234"),
        *((Form.TIMESTAMP_MICROS, text) for text in ("2024-01-01", "2024-01-01T00:00:00", "999999999-01-01 00:00:00")),
        (Form.TIMESTAMP_MICROS, "999999-01-01 00:00:00 BC"),
        (Form.TIMESTAMP_MILLIS, "999999999-01-01 00:00:00"),
        *((Form.ZONED_TIMESTAMP, text) for text in ("2024-01-01 00:00:00+01", "2024-01-01 00:00:00", "+00")),
        *((Form.INTERVAL, text) for text in ("", "P", "PT", "P1YT", "P1DT1D", "P1S", "P1Y1Y", "1 day", "PéY")),
    ],
)
def test_what_no_server_prints_is_refused(build: Build, form: Form, text: str) -> None:
    """Never taken for something near it, and never quoted in the words."""
    made_of = plan(form)
    walker = build["walker"].Walker()
    walker.install(made_of)
    with pytest.raises(build["plan"].FormError) as caught:
        walker.copy_row(text.replace("\\", "\\\\").encode() + b"\n", made_of, 1)
    assert walker.value is None
    assert walker.key is None
    assert caught.value.remedy
    assert len(text) < 3 or text not in str(caught.value)


@pytest.mark.parametrize(
    ("element", "text", "expected"),
    [
        (Form.LONG, "{}", b"\x00"),
        (Form.LONG, "{1}", b"\x02\x02\x02\x00"),
        (Form.LONG, "{1,NULL,3}", b"\x06\x02\x02\x00\x02\x06\x00"),
        (Form.STRING, "{null,Null}", b"\x04\x00\x00\x00"),
        (Form.STRING, '{"NULL",nul,nulls}', b"\x06\x02\x08NULL\x02\x06nul\x02\x0anulls\x00"),
        (Form.STRING, '{""}', b"\x02\x02\x00\x00"),
        (Form.STRING, '{"a,b","{}","\\"","\\\\"}', b"\x08\x02\x06a,b\x02\x04{}\x02\x02\x22\x02\x02\\\x00"),
        (Form.BYTES, '{"\\\\xdead","\\\\x"}', b"\x04\x02\x04\xde\xad\x02\x00\x00"),
        (Form.BOOLEAN, "{t,f,NULL}", b"\x06\x02\x01\x02\x00\x00\x00"),
        (Form.DATE, '{2016-11-04,"0044-03-15 BC"}', b"\x04\x02" + long(17109) + b"\x02" + long(-735160) + b"\x00"),
        (Form.DECIMAL, "{1.1,-1.28}", b"\x04\x02\x02\x6e\x02\x02\x80\x00"),
        (Form.DOUBLE, "{NaN}", b"\x02\x02" + struct.pack("<d", float("nan")) + b"\x00"),
        (Form.FUNCTION, '{a,"b c"}', b"\x04\x02[a]\x02[b c]\x00"),
    ],
)
def test_an_array_is_one_block(build: Build, element: Form, text: str, expected: bytes) -> None:
    """Of null or element each; the column's function serves the elements too."""
    made_of = plan(Form.ARRAY, element=element, scale=2, function=lambda text: b"[" + text + b"]")
    assert body(build, made_of, text) == expected


def test_an_array_of_many_elements(build: Build) -> None:
    """Its count takes more than a byte, and the buffer grows on the way."""
    items = [f"item {number}" for number in range(3000)]
    text = "{" + ",".join(f'"{item}"' for item in items) + "}"
    expected = long(3000) + b"".join(b"\x02" + sized(item.encode()) for item in items) + b"\x00"
    assert body(build, plan(Form.ARRAY, element=Form.STRING), text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "{", "}", "1", "{1", "{1}2}", "{,}", "{1,}", "{,1}", '{"a}', '{"a"b}', '{"a\\"}', "{a\\b}", '{a"b}'],
)
def test_a_malformed_array_is_refused(build: Build, text: str) -> None:
    """Nothing behind its end, and nothing missing, goes unseen."""
    made_of = plan(Form.ARRAY, element=Form.STRING)
    walker = build["walker"].Walker()
    walker.install(made_of)
    with pytest.raises(build["plan"].FormError):
        walker.copy_row(text.replace("\\", "\\\\").encode() + b"\n", made_of, 1)


@pytest.mark.parametrize("text", ["{{1,2},{3,4}}", "{{}}", "[0:1]={7,8}", "[2:2]={1}"])
def test_an_array_of_another_shape_has_its_remedy(build: Build, text: str) -> None:
    """Depth and lower bounds are not in the type."""
    made_of = plan(Form.ARRAY, element=Form.LONG)
    walker = build["walker"].Walker()
    walker.install(made_of)
    with pytest.raises(build["plan"].FormError) as caught:
        walker.copy_row(text.encode(), made_of, 1)
    assert "array.handling.mode=string" in caught.value.remedy


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_a_decimal_that_is_no_number_has_its_remedy(build: Build, text: str) -> None:
    """In every form of decimal."""
    for form in (Form.DECIMAL, Form.VARIABLE_DECIMAL):
        walker = build["walker"].Walker()
        with pytest.raises(build["plan"].FormError) as caught:
            walker.copy_row(text.encode(), plan(form), 1)
        assert "decimal.handling.mode=string" in caught.value.remedy


@pytest.mark.parametrize("raised", [ValueError("the value"), IndexError("the value"), KeyError("the value")])
def test_a_function_that_fails_is_a_form_error(build: Build, raised: Exception) -> None:
    """An IndexError of its own is not taken for the end of the message."""

    def refuse(_: bytes) -> bytes:
        raise raised

    made_of = plan(Form.FUNCTION, function=refuse)
    with pytest.raises(build["plan"].FormError) as caught:
        body(build, made_of, "x")
    assert str(caught.value) != "the value"


def test_a_function_may_write_more_than_the_buffer_holds(build: Build) -> None:
    """Its bytes are copied, however many they are."""
    made_of = plan(Form.FUNCTION, function=lambda text: text * 100_000)
    assert body(build, made_of, "ab") == b"ab" * 100_000
