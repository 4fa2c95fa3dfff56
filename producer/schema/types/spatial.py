"""point, and PostGIS's geometry and geography.

Room: schema (pure). PostgreSQL manual, "Geometric Types"; PostGIS manual, "Extended WKB";
io.debezium.data.geometry.
"""

from __future__ import annotations

import struct
from typing import Any

from producer.schema.types.avro_type import AvroType, Modes
from producer.transcode.plan import Form, FormError, ValuePlan
from producer.transcode.source_block import long

_NULL, _SOME = b"\x00", b"\x02"
_POINT = struct.Struct("<dd")
# Little-endian, type 1: a point in WKB.
_WKB_POINT = b"\x01\x01\x00\x00\x00"
_SRID_FLAG = 0x2000_0000


def _record(name: str, doc: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": "io.debezium.data.geometry",
        "fields": fields,
        "connect.doc": doc,
        "connect.version": 1,
        "connect.name": f"io.debezium.data.geometry.{name}",
    }


_SRID: dict[str, Any] = {"name": "srid", "type": ["null", "int"], "default": None}


def point(_typmod: int, _modes: Modes) -> AvroType:
    """x, y, and the same as WKB."""
    fields: list[dict[str, Any]] = [
        {"name": "x", "type": "double"},
        {"name": "y", "type": "double"},
        {"name": "wkb", "type": ["null", "bytes"], "default": None},
        _SRID,
    ]
    return AvroType(
        schema=_record("Point", "Geometry (POINT)", fields),
        value=ValuePlan(form=Form.FUNCTION, function=_point),
        fallback=_point(b"(0,0)"),
    )


def _point(text: bytes) -> bytes:
    x, comma, y = text.removeprefix(b"(").removesuffix(b")").partition(b",")
    if not comma:
        raise FormError("the value is no point", "report it")
    data = _POINT.pack(float(x), float(y))
    wkb = _WKB_POINT + data
    return data + _SOME + long(len(wkb)) + wkb + _NULL


def geometry(_typmod: int, _modes: Modes) -> AvroType:
    """PostGIS's geometry: EWKB and its SRID."""
    return _of_ewkb("Geometry")


def geography(_typmod: int, _modes: Modes) -> AvroType:
    """PostGIS's geography: EWKB and its SRID."""
    return _of_ewkb("Geography")


def _of_ewkb(name: str) -> AvroType:
    return AvroType(
        schema=_record(name, name, [{"name": "wkb", "type": "bytes"}, _SRID]),
        value=ValuePlan(form=Form.FUNCTION, function=_ewkb),
        fallback=_EMPTY_COLLECTION,
    )


def _ewkb(text: bytes) -> bytes:
    """EWKB in hexadecimal digits, as PostGIS prints it -> the record."""
    data = bytes.fromhex(text.decode())
    order = "<" if data[0] == 1 else ">"
    (kind,) = struct.unpack_from(f"{order}I", data, 1)
    body = long(len(data)) + data
    if not kind & _SRID_FLAG:
        return body + _NULL
    (srid,) = struct.unpack_from(f"{order}i", data, 5)
    return body + _SOME + long(srid)


_EMPTY_COLLECTION = _ewkb(b"010700000000000000")
