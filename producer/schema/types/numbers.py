"""numeric and money, by `decimal.handling.mode`.

Room: schema (pure). PostgreSQL manual, "Numeric Types", "Monetary Types"; Avro specification, "Decimal".
"""

from __future__ import annotations

import struct
from dataclasses import replace
from decimal import Decimal
from typing import Any

from producer.schema.types.avro_type import TEXT, ZERO, AvroType, Modes, by_function, plain
from producer.transcode.plan import Form, FormError, ValuePlan
from producer.transcode.source_block import long

_DOUBLE = struct.Struct("<d")
_MONEY_PRECISION = 64
_PRINTED_DIGITS = 2
ZERO_DOUBLE = _DOUBLE.pack(0)

_VARIABLE_SCALE_DECIMAL: dict[str, Any] = {
    "type": "record",
    "name": "VariableScaleDecimal",
    "namespace": "io.debezium.data",
    "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
    "connect.doc": "Variable scaled decimal",
    "connect.version": 1,
    "connect.name": "io.debezium.data.VariableScaleDecimal",
}
# An Avro bytes of one zero byte.
_ZERO_BYTES = long(1) + ZERO


def numeric(typmod: int, modes: Modes) -> AvroType:
    """numeric with or without precision and scale."""
    if modes.decimals == "string":
        return TEXT
    if modes.decimals == "double":
        return plain("double", Form.DOUBLE, ZERO_DOUBLE)
    if typmod < 0:
        return plain(_VARIABLE_SCALE_DECIMAL, Form.VARIABLE_DECIMAL, ZERO + _ZERO_BYTES)
    # The modifier: precision in the high half, a signed scale of 11 bits in the low one, plus 4.
    precision = ((typmod - 4) >> 16) & 0xFFFF
    scale = ((typmod - 4) & 0x7FF ^ 1024) - 1024
    if scale < 0:
        precision, scale = precision - scale, 0
    return decimal(max(precision, scale), scale)


def decimal(precision: int, scale: int) -> AvroType:
    """Connect's Decimal."""
    return AvroType(
        schema={
            "type": "bytes",
            "scale": scale,
            "precision": precision,
            "connect.version": 1,
            "connect.parameters": {"scale": str(scale), "connect.decimal.precision": str(precision)},
            "connect.name": "org.apache.kafka.connect.data.Decimal",
            "logicalType": "decimal",
        },
        value=ValuePlan(form=Form.DECIMAL, scale=scale, precision=precision),
        fallback=_ZERO_BYTES,
    )


def money(_typmod: int, modes: Modes) -> AvroType:
    """money, printed under lc_monetary C: `-$1,234.50`."""
    if modes.decimals == "string":
        return by_function(TEXT, lambda text: _sized(_amount(text)))
    if modes.decimals == "double":
        double = plain("double", Form.DOUBLE, ZERO_DOUBLE)
        return by_function(double, lambda text: _DOUBLE.pack(float(_amount(text))))
    digits = modes.money_digits
    as_decimal = decimal(_MONEY_PRECISION, digits)
    # As Debezium's: without the precision, which no money has.
    schema = {**as_decimal.schema, "connect.parameters": {"scale": str(digits)}}  # type: ignore[dict-item]
    return by_function(replace(as_decimal, schema=schema), lambda text: _unscaled(_amount(text), digits))


def _amount(text: bytes) -> bytes:
    """-$1,234.50 -> -1234.50."""
    amount = text.replace(b"$", b"").replace(b",", b"")
    if not amount.removeprefix(b"-").replace(b".", b"", 1).isdigit():
        raise FormError("the amount is not printed as lc_monetary C prints it", "report it")
    return amount


def _unscaled(amount: bytes, digits: int) -> bytes:
    scaled = Decimal(amount.decode()).scaleb(digits)
    number = int(scaled)
    if number != scaled:
        raise FormError(
            f"the amount has more decimals than money.fraction.digits={digits} lets through",
            f"set money.fraction.digits={_PRINTED_DIGITS}",
        )
    size = (number + (number < 0)).bit_length() // 8 + 1
    return _sized(number.to_bytes(size, "big", signed=True))


def _sized(data: bytes) -> bytes:
    return long(len(data)) + data
