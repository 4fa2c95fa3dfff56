"""Numbers, texts, bytes and network addresses."""

from __future__ import annotations

import base64
import struct
from decimal import Decimal
from typing import Any, Literal

from hypothesis import strategies as st

from tests.oracle.kinds import REFUSED, Kind, scalar

CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
_ODD = st.sampled_from(list("\"'\\{}(),;: \t\n\r\x01\x1f\x7f\u2028\u00e9€😀N=>[]"))
TEXTS = st.text(CHARACTERS | _ODD, max_size=12)
ODD_TEXTS = (
    "", " ", "NULL", "null", "\\N", "\\", '"', "a\"b'c\\d", "{}", "(,)", "a,b;c", "\t\n\r\b\f\v", "\x01\x1f\x7f",
    "\u2028\u2029\ufeff", "ü€😀", "e\u0301", '{"a":"\\u0000"}', "x" * 3000,
)  # fmt: skip
_HEX = "encode(convert_to({v}, 'UTF8'), 'hex')"


def text_of(value: str) -> str:
    return bytes.fromhex(value).decode()


def _integer(type: str, bits: int) -> Kind:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    texts = st.integers(low, high).map(str)
    return scalar(type, texts, (str(low), str(high), "0", "-1", "9007199254740993"[: bits // 4]), "{v}::text", int)


def _float(type: str, send: str, layout: str, extremes: tuple[str, ...]) -> Kind:
    width: Literal[32, 64] = 32 if layout == "f" else 64
    texts = st.floats(width=width).map(repr).map(lambda text: text.replace("inf", "Infinity").replace("nan", "NaN"))
    return scalar(
        type,
        texts,
        (*extremes, "NaN", "Infinity", "-Infinity", "-0", "0"),
        f"encode({send}({{v}}), 'hex')",
        lambda value: struct.unpack(f">{layout}", bytes.fromhex(value))[0],
    )


def decimal(precision: int, scale: int) -> Kind:
    """numeric(p,s): the text is PostgreSQL's own arithmetic; numeric_send is not needed to know the scale."""
    top = 10**precision - 1
    texts = st.integers(-top, top).map(lambda number: f"{number}e{-scale}")

    def expect(value: str) -> Any:
        return REFUSED if value in ("NaN", "Infinity", "-Infinity") else Decimal(value)

    # The ends of one byte, of two, of eight.
    ends = [number for number in (127, 128, -128, -129, 2**15, 2**63, -(2**63) - 1) if abs(number) <= top]
    numbers = (*(f"{number}e{-scale}" for number in (top, -top, 0, *ends)), "NaN")
    return scalar(
        f"numeric({precision},{scale})",
        texts,
        numbers,
        "({v} + 0)::text",
        expect,
        since=0 if 0 <= scale <= precision else 150000,
    )


def _variable(value: list[Any]) -> Any:
    scale, unscaled = value
    if scale is None:
        return REFUSED
    number = int(unscaled)
    size = (number + (number < 0)).bit_length() // 8 + 1
    return {"scale": scale, "value": number.to_bytes(size, "big", signed=True)}


_NUMERIC = scalar(
    "numeric",
    st.builds(
        lambda sign, whole, fraction: sign + whole + ("." + fraction if fraction else ""),
        st.sampled_from(["", "-"]),
        st.text("0123456789", min_size=1, max_size=30),
        st.text("0123456789", max_size=30),
    ),
    ("0", "0.000", "10.1111", "1.50000", "-1.28", "1.28", "-128", "127", "128", "1e130", "-1e-30", "9" * 1000,
     "0." + "0" * 998 + "1", "NaN", "Infinity", "-Infinity", "99999999999999999999.99"),
    "json_build_array(scale({v}), trunc({v} * power(10::numeric, scale({v})))::text)",
    _variable,
)  # fmt: skip


def _bits(value: str) -> Any:
    number = sum(1 << place for place, digit in enumerate(reversed(value)) if digit == "1")
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


_BIT_BY_BIT = (
    "(SELECT coalesce(string_agg(get_bit({v}, n)::text, '' ORDER BY n), '') FROM generate_series(0, length({v}) - 1) n)"
)


def _bit(length: int) -> Kind:
    texts = st.text("01", min_size=length, max_size=length)
    extremes = ("0" * length, "1" * length, "1" + "0" * (length - 1), "0" * (length - 1) + "1")
    return scalar(f"bit({length})", texts, extremes, _BIT_BY_BIT, _bits if length > 1 else lambda v: v == "1")


def _address(value: list[Any]) -> str:
    host, bits, family, always = value
    return str(host) if not always and bits == (32 if family == 4 else 128) else f"{host}/{bits}"


_IPV4 = st.ip_addresses(v=4).map(str)
_IPV6 = st.ip_addresses(v=6).map(str)
_INET = st.builds(lambda ip, bits: f"{ip}/{bits}", _IPV4, st.integers(0, 32)) | st.builds(
    lambda ip, bits: f"{ip}/{bits}", _IPV6, st.integers(0, 128)
)
_CIDR = st.builds(lambda n, bits: f"{n >> (32 - bits) << (32 - bits):08x}/{bits}", st.integers(0, 2**32 - 1),
                  st.integers(0, 32)).map(
    lambda text: ".".join(str(int(text[i : i + 2], 16)) for i in (0, 2, 4, 6)) + text[8:]
)  # fmt: skip
_ADDRESS = "json_build_array(host({v}), masklen({v}), family({v}), %s)"


def _colons(value: str) -> str:
    return ":".join(value[i : i + 2] for i in range(0, len(value), 2))


KINDS = [
    _integer("smallint", 16),
    _integer("integer", 32),
    _integer("bigint", 64),
    scalar("oid", st.integers(0, 2**32 - 1).map(str), ("0", "4000000000", "4294967295"), "{v}::bigint::text", int),
    scalar("xid", st.integers(0, 2**32 - 1).map(str), ("0", "4000000000", "4294967295"), "{v}::text", int),
    scalar("xid8", st.integers(0, 2**64 - 1).map(str), ("0", "18446744073709551615"), "{v}::text", since=130000),
    scalar("boolean", st.sampled_from(["t", "f"]), ("t", "f"), "CASE WHEN {v} THEN 1 ELSE 0 END", bool),
    _float("real", "float4send", "f", ("3.4028235e38", "1e-45", "1.17549435e-38", "7.038531e-26", "16777217")),
    _float("double precision", "float8send", "d", ("1.7976931348623157e308", "5e-324", "0.1", "9007199254740993")),
    decimal(1, 0),
    decimal(3, 2),
    decimal(18, 4),
    decimal(19, 0),
    decimal(40, 20),
    decimal(5, -2),
    decimal(3, 5),
    _NUMERIC,
    scalar(
        "money",
        st.integers(-(2**63), 2**63 - 1).map(lambda n: format(Decimal(n).scaleb(-2), "f")),
        ("-1234.50", "92233720368547758.07", "-92233720368547758.08", "0", "-0.01"),
        "('x' || encode(cash_send({v}), 'hex'))::bit(64)::bigint::text",
        lambda value: Decimal(value).scaleb(-2),
    ),
    scalar("text", TEXTS, ODD_TEXTS, _HEX, text_of),
    scalar("varchar(40)", TEXTS, tuple(text for text in ODD_TEXTS if len(text) < 40), _HEX, text_of),
    scalar("name", TEXTS, ("", "a" * 63, "ü"), "encode(convert_to({v}::text, 'UTF8'), 'hex')", text_of),
    scalar('"char"', st.characters(min_codepoint=1, max_codepoint=126).map(str), ("", "c", '"', "\\"),
           'ascii({v}::text)', lambda value: chr(value) if value else ""),
    scalar("char(5)", st.text(CHARACTERS, max_size=5), ("", "ab", "ab   ", "\t", "€"),
           "encode(convert_to(rpad({v}::text, 5), 'UTF8'), 'hex')", text_of),
    scalar("bytea", st.binary(max_size=12).map(lambda data: "\\x" + data.hex()),
           ("", "\\x00", "\\xdeadbeef00", "\\x5c78", "\\x" + "ff00" * 3000), "encode({v}, 'base64')",
           base64.b64decode),
    _bit(1), _bit(2), _bit(8), _bit(16), _bit(65),
    scalar("varbit", st.text("01", max_size=20), ("", "101", "00101", "0"), _BIT_BY_BIT),
    scalar("varbit(9)", st.text("01", max_size=9), ("", "000000000"), _BIT_BY_BIT),
    scalar("uuid", st.uuids().map(str), ("0F8FAD5B-D9CB-469F-A165-70867728950E",), "encode(uuid_send({v}), 'hex')",
           lambda v: f"{v[:8]}-{v[8:12]}-{v[12:16]}-{v[16:20]}-{v[20:]}"),
    scalar("inet", _INET, ("192.168.0.1", "192.168.0.1/24", "::1", "::ffff:1.2.3.4/96", "0.0.0.0/0"),
           _ADDRESS % "false", _address),
    scalar("cidr", _CIDR, ("10.0.0.0/8", "192.168.0.1/32", "2001:db8::/32", "::/0"), _ADDRESS % "true", _address),
    scalar("macaddr", st.binary(min_size=6, max_size=6).map(bytes.hex), ("08:00:2b:01:02:03", "ffffffffffff"),
           "encode(macaddr_send({v}), 'hex')", _colons),
    scalar("macaddr8", st.binary(min_size=8, max_size=8).map(bytes.hex), ("08:00:2b:01:02:03:04:05",),
           "encode(macaddr8_send({v}), 'hex')", _colons),
    scalar("pg_lsn", st.integers(0, 2**64 - 1).map(lambda n: f"{n >> 32:X}/{n & 0xFFFFFFFF:X}"),
           ("0/0", "FFFFFFFF/FFFFFFFF"), "({v} - '0/0')::text",
           lambda v: f"{int(v) >> 32:X}/{int(v) & 0xFFFFFFFF:X}"),
    scalar("regtype", st.sampled_from(["integer", "pg_catalog.text", "timestamptz"]), ("-", "integer"), _HEX.replace("{v}", "{v}::text"), text_of),  # noqa: E501
]  # fmt: skip
