"""bytea by `binary.handling.mode`, and bit strings.

Room: schema (pure). PostgreSQL manual, "Binary Data Types", "Bit String Types"; io.debezium.data.Bits.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial

from producer.schema.types.avro_type import TEXT, AvroType, Modes, as_text, by_function, plain, semantic
from producer.transcode.plan import Form, FormError
from producer.transcode.source_block import long


def bytea(_typmod: int, modes: Modes) -> AvroType:
    """Bytes, or their text in base64 or hexadecimal digits."""
    if modes.binaries == "bytes":
        return plain("bytes", Form.BYTES)
    return by_function(TEXT, partial(_as_text, _ENCODINGS[modes.binaries]))


def bit(typmod: int, _modes: Modes) -> AvroType:
    """bit(1) is a boolean; bit(n) its bytes, the least significant first, zero bytes at the end dropped."""
    if typmod == 1:
        return by_function(plain("boolean", Form.BOOLEAN), _boolean)
    if typmod < 0:
        # The type `"bit"`, which knows no length.
        return as_text("bit")
    return by_function(semantic("io.debezium.data.Bits", "bytes", parameters={"length": str(typmod)}), _bits)


def varbit(_typmod: int, _modes: Modes) -> AvroType:
    """Its digits as text: bytes could not tell 101 from 00101."""
    return as_text("varbit")


_ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "base64-url-safe": base64.urlsafe_b64encode,
    "hex": lambda data: data.hex().encode(),
}


def _as_text(encode: Callable[[bytes], bytes], text: bytes) -> bytes:
    data = encode(bytes.fromhex(text.removeprefix(rb"\x").decode()))
    return long(len(data)) + data


def _boolean(text: bytes) -> bytes:
    if text not in (b"0", b"1"):
        raise FormError("the value is no single bit", "the table's type was changed: see the log")
    return b"\x01" if text == b"1" else b"\x00"


def _bits(text: bytes) -> bytes:
    number = int(text, 2) if text else 0
    data = number.to_bytes((number.bit_length() + 7) // 8, "little")
    return long(len(data)) + data
