"""Documents, types that users and extensions make, geometry; and arrays, records and domains of all kinds."""

from __future__ import annotations

import itertools
import json
import struct
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.oracle import scalars, times
from tests.oracle.kinds import Kind, array, composite, domain, quoted, scalar

_HEX = "encode(convert_to({v}::text, 'UTF8'), 'hex')"
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | scalars.TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars.TEXTS, inner, max_size=3),
    max_leaves=5,
)
_SAFE_JSON = _JSON.map(lambda value: json.dumps(value, ensure_ascii=False).replace("\\u0000", ""))
_JSON_EXTREMES = ('{"b":1,  "a": [1.10, "\\u00e9"], "b":2}', "null", '""', "1e400", '"\\\\ \\" \\t \\u2028"', "[]")
_LABELS = ("sad", "ok", "it's", 'a "b"', "c,d", "ü", "NULL", " ", "\\")
# All that a test of these kinds needs, in this order.
DDL = (
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION ltree",
    "CREATE EXTENSION citext",
    "CREATE TYPE mood AS ENUM ({})".format(", ".join("'" + label.replace("'", "''") + "'" for label in _LABELS)),
    'CREATE SCHEMA "int"',
    "CREATE TYPE \"int\".kind AS ENUM ('a', 'b')",
    'CREATE SCHEMA "Q S"',
    """CREATE TYPE "Q S"."My.Enum" AS ENUM ('x', 'y "z"')""",
    "CREATE DOMAIN posint AS int CHECK (VALUE >= 0)",
    "CREATE DOMAIN deeper AS posint",
    "CREATE DOMAIN price AS numeric(10,2)",
    "CREATE DOMAIN cost AS price",
    "CREATE DOMAIN raw AS bytea",
    "CREATE DOMAIN flag AS boolean",
    "CREATE DOMAIN ratio AS double precision",
    "CREATE DOMAIN stamp AS timestamp(3)",
    "CREATE DOMAIN numbers AS int[]",
    "CREATE TYPE address AS (street text, zip int, price numeric(10,2), raw bytea)",
    """CREATE TYPE "Q S"."per son" AS (name text, home address, moods mood[], born date, pos posint)""",
    "CREATE TYPE textrange AS RANGE (subtype = text)",
)
DOMAINS_OF_RECORDS_SINCE = 110000
"""Arrays of domains came with them."""
DDL_OF_RECORDS = ("CREATE DOMAIN home AS address",)


def _wkb(value: list[str]) -> Any:
    x, y = (struct.unpack(">d", bytes.fromhex(half))[0] for half in value)
    return {"x": x, "y": y, "wkb": struct.pack("<BIdd", 1, 1, x, y), "srid": None}


def _as_text(type: str, literals: tuple[str, ...], since: int = 0) -> Kind:
    """Types that are sent as the server's text: ::text is that."""
    return scalar(type, st.sampled_from(literals), literals, _HEX, _text, since=since)


def _text(value: str) -> str:
    return bytes.fromhex(value).decode()


def _pairs(pairs: dict[str, str | None]) -> str:
    def one(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return ", ".join(f"{one(key)}=>{'NULL' if value is None else one(value)}" for key, value in pairs.items())


_HSTORE = scalar(
    "hstore",
    st.dictionaries(scalars.TEXTS, st.none() | scalars.TEXTS, max_size=4).map(_pairs),
    ("", "a=>1, b=>NULL", '"k\\"ey"=>"v\\\\al", ""=>"", "NULL"=>"NULL"', '"a=>b"=>"c, d"'),
    "(SELECT coalesce(json_agg(json_build_array(key, value)), '[]') FROM each({v}))",
    lambda value: json.dumps(dict(value), ensure_ascii=False, separators=(",", ":")),
)
_DOUBLES = st.floats(allow_nan=False).map(repr).map(lambda text: text.replace("inf", "Infinity"))


def _range(type: str, subtype: str, *bounds: str) -> Kind:
    """Made by its constructor, and by the words for none and no end."""
    literals = [f"'empty'::{type}", f"'(,)'::{type}"]
    literals += [
        f"{type}({quoted(low, subtype)}, {quoted(high, subtype)}, '[)')" for low, high in itertools.pairwise(bounds)
    ]
    literals += [
        f"{type}({quoted(bounds[0], subtype)}, NULL, '(]')",
        f"{type}(NULL, {quoted(bounds[0], subtype)}, '(]')",
    ]
    return Kind(sql=type, literals=st.sampled_from(literals), extremes=tuple(literals),
                render=lambda v: _HEX.replace("{v}", v), expect=_text)  # fmt: skip


_PLAIN = [
    scalar("json", _SAFE_JSON, _JSON_EXTREMES, _HEX, _text),
    scalar("jsonb", _SAFE_JSON, _JSON_EXTREMES, _HEX, _text),
    _as_text("xml", ("<r><x>1</x></r>", "a &amp; b", "<r a='ü\"'/>")),
    _as_text("tsvector", ("", "'a':1 'b':2A", "fat cat", "'it''s'")),
    _as_text("tsquery", ("", "fat & (rat | cat)", "'it''s':A")),
    _as_text("jsonpath", ("$.a[*] ? (@ > 1)", '$."a\\"b"'), since=120000),
    _HSTORE,
    _as_text("ltree", ("", "a.b.c")),
    _as_text("citext", ("", "ABC", 'q"\\')),
    _as_text("mood", _LABELS),
    _as_text('"int".kind', ("a", "b")),
    _as_text('"Q S"."My.Enum"', ("x", 'y "z"')),
    Kind(
        sql="point",
        literals=st.builds(lambda x, y: f"'({x},{y})'::point", _DOUBLES, _DOUBLES),
        extremes=("'(1.5,-2)'::point", "'(1e300,-0)'::point", "'(NaN,Infinity)'::point", "'(5e-324,0.1)'::point"),
        render=lambda v: f"json_build_array(encode(float8send(({v})[0]), 'hex'), encode(float8send(({v})[1]), 'hex'))",
        expect=_wkb,
    ),
    _as_text("line", ("{1,2,3}",)),
    _as_text("lseg", ("[(0,0),(1,1)]",)),
    _as_text("box", ("(1,1),(0,0)", "(1e300,1),(0,-0.5)")),
    _as_text("path", ("[(0,0),(1,1)]", "((0,0),(1,1),(2,0))")),
    _as_text("polygon", ("((0,0),(1,1),(2,0))",)),
    _as_text("circle", ("<(1,2),3>",)),
    _range("int4range", "integer", "1", "10", "2147483647"),
    _range("numrange", "numeric", "-1.50", "0", "1e20"),
    _range("tsrange", "timestamp", "0044-03-15 00:00 BC", "2026-01-01 00:00:00.5", "infinity"),
    _range("tstzrange", "timestamptz", "2026-01-01 00:00+02", "2026-06-01 12:00-05", "infinity"),
    _range("daterange", "date", "2026-01-01", "5874897-12-31"),
    _range("textrange", "text", "", 'a "b"', "c,d", "é"),
]  # fmt: skip
MULTIRANGES = [
    _as_text("int4multirange", ("{}", "{[1,3),[5,8)}", "{(,)}"), since=140000),
    _as_text("tstzmultirange", ('{["2026-01-01 00:00+02","2026-02-01 00:00+00")}',), since=140000),
]


def _postgis(name: str, *extremes: str) -> Kind:
    type = f"public.{name}"
    return Kind(
        sql=type,
        literals=st.builds(
            lambda x, y: f"public.ST_SetSRID(public.ST_MakePoint({x}, {y}), 4326)::{type}",
            st.integers(-180, 180),
            st.integers(-90, 90),
        ),
        extremes=tuple(f"'{extreme}'::{type}" for extreme in extremes),
        render=lambda v: (
            f"json_build_array(encode(public.ST_AsEWKB({v}::public.geometry), 'hex'), "
            f"public.ST_SRID({v}::public.geometry))"
        ),
        expect=lambda value: {"wkb": bytes.fromhex(value[0]), "srid": value[1] or None},
        extension="postgis",
    )


POSTGIS = [
    _postgis("geometry", "POINT(1 2)", "LINESTRING EMPTY", "SRID=3857;POLYGON((0 0,1 0,1 1,0 0))"),
    _postgis("geography", "POINT(1 2)"),
]
SCALARS = [*scalars.KINDS, *times.KINDS, *_PLAIN]


def _by(sql: str) -> Kind:
    return next(kind for kind in SCALARS if kind.sql == sql)


POSINT = domain(
    "posint",
    scalar("integer", st.integers(0, 2**31 - 1).map(str), ("0", "2147483647"), "{v}::text", int),
)
PRICE = scalars.decimal(10, 2)
ADDRESS = composite(
    "address", {"street": _by("text"), "zip": _by("integer"), "price": PRICE, "raw": _by("bytea")}
)  # fmt: skip
_MOODS = array(_by("mood"))
PERSON = composite(
    '"Q S"."per son"',
    {"name": _by("text"), "home": ADDRESS, "moods": _MOODS, "born": _by("date"), "pos": POSINT},
)
COMPOSITES = [ADDRESS, PERSON, replace(domain("home", ADDRESS), since=DOMAINS_OF_RECORDS_SINCE)]
NUMBERS = domain("numbers", array(_by("integer")))
DOMAINS = [
    POSINT,
    domain("deeper", POSINT),
    domain("price", PRICE),
    domain("cost", domain("price", PRICE)),
    domain("raw", _by("bytea")),
    domain("flag", _by("boolean")),
    domain("ratio", _by("double precision")),
    domain("stamp", _by("timestamp(3)")),
    NUMBERS,
]
# Of every element type one dimension; of some two and three.
ARRAYS = [
    *(array(kind) for kind in (*SCALARS, *COMPOSITES)),
    *(array(replace(kind, since=DOMAINS_OF_RECORDS_SINCE)) for kind in DOMAINS),
    *(array(_by(sql), depth) for sql in ("integer", "text", "timestamptz", "box") for depth in (2, 3)),
    array(ADDRESS, 2),
]
KINDS = [*SCALARS, *DOMAINS, *COMPOSITES, *MULTIRANGES, *POSTGIS, *ARRAYS]
