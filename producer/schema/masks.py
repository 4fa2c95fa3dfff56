"""Masks: columns whose values are cut, replaced or hashed before they are sent.

Room: schema (pure). Equal to Debezium's MaskStrings and TruncateColumn (3.5); docs/filters.md says where we do more.
Java Object Serialization Specification, "Grammar for the Stream Format": TC_STRING, TC_LONGSTRING.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from producer.events import Column, PgType, Relation
from producer.schema.types import AvroType
from producer.settings.transformations import Transformation
from producer.transcode.plan import Form, ValuePlan
from producer.transcode.source_block import long

Rules = Sequence[Transformation]

_CHARACTERS = frozenset({"text", "varchar", "bpchar", "name", "char"})
_LENGTH_HEADER = 4
_JAVA_STREAM = b"\xac\xed\x00\x05"
_JAVA_SHORT, _JAVA_LONG = b"\x74", b"\x7c"
_JAVA_SHORT_MOST = 0xFFFF
_PRESENT = b"\x02"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """How a masked column is written."""

    value: ValuePlan
    null: bytes | None = None
    """What stands for a NULL, as a member of the union; None: null."""


def mask_of(relation: Relation, column: Column, avro: AvroType, rules: Rules) -> Mask | None:
    """The mask of a column; None: it is sent as it is.

    The column goes by the name that it has in this shape.
    """
    rule = next(_matching(relation, column, rules), None)
    if rule is None:
        return None
    if rule.kind == "truncate":
        cut = _cut(avro, rule.length)
        return None if cut is None else _by(cut)
    if not _is_text(column.type):
        return None
    if rule.kind == "mask":
        body = _string(b"*" * rule.length)
        return Mask(value=_by(lambda _text: body).value, null=_PRESENT + body)
    serialise = _java_string if rule.kind == "hash" else bytes
    return _by(partial(_hashed, rule.algorithm, rule.salt, serialise, _declared_length(column)))


def doubts(relations: Iterable[Relation], rules: Rules, avro_of: Callable[[Column], AvroType]) -> Iterator[str]:
    """What of the masks will not be as its writer may think: a value that is sent as it is, above all."""
    unmatched = {rule.shown: True for rule in rules}
    for relation in relations:
        for column in relation.columns:
            matching = list(_matching(relation, column, rules))
            name = f"{relation.qualified_name}.{column.name}"
            unmatched.update((rule.shown, False) for rule in matching)
            if len(matching) > 1:
                others = ", ".join(rule.shown for rule in matching[1:])
                yield f"{matching[0].shown} names {name}, and {others} too: only the first counts"
            if not matching:
                continue
            if column.sent and mask_of(relation, column, avro_of(column), rules) is None:
                yield (
                    f"{matching[0].shown} names {name}, whose type {column.type.display_name} it does not apply to: "
                    "its values are sent as they are"
                )
            if column.name in relation.key:
                yield f"{matching[0].shown} names {name}, a key column: the records' keys hold it as it is"
    yield from (f"{shown} names no column of a selected table" for shown, none in unmatched.items() if none)


def _matching(relation: Relation, column: Column, rules: Rules) -> Iterator[Transformation]:
    name = f"{relation.qualified_name}.{column.name}"
    return (rule for rule in rules if any(expression.fullmatch(name) for expression in rule.columns))


def _by(function: Callable[[bytes], bytes]) -> Mask:
    return Mask(value=ValuePlan(form=Form.FUNCTION, function=function))


def _string(text: bytes) -> bytes:
    return long(len(text)) + text


def _is_text(type: PgType) -> bool:
    """Character types and enums, and domains over them; of the extensions' types citext."""
    if type.kind == "domain" and type.base is not None:
        return _is_text(type.base)
    if type.kind == "enum":
        return True
    return type.kind == "base" and (type.name in _CHARACTERS if type.schema == "pg_catalog" else type.name == "citext")


def _declared_length(column: Column) -> int | None:
    """n of char(n) and varchar(n)."""
    type, typmod = column.type, column.typmod
    while type.kind == "domain" and type.base is not None:
        type, typmod = type.base, (type.base_typmod if type.base_typmod >= 0 else typmod)
    return typmod - _LENGTH_HEADER if type.name in ("varchar", "bpchar") and typmod >= 0 else None


def _hashed(algorithm: str, salt: bytes, serialise: Callable[[bytes], bytes], length: int | None, text: bytes) -> bytes:
    digest = hashlib.new(algorithm, salt + serialise(text), usedforsecurity=False).hexdigest()
    return _string(digest[:length].encode())


def _java_string(text: bytes) -> bytes:
    """The text as Java's ObjectOutputStream writes a String: UTF-8 of UTF-16 units."""
    units = text
    if max(text, default=0) >= 0xF0:  # four bytes: a pair of surrogates in Java, of three bytes each
        pairs = text.decode().encode("utf-16-be")
        units = "".join(chr(int.from_bytes(pairs[at : at + 2], "big")) for at in range(0, len(pairs), 2)).encode(
            "utf-8", "surrogatepass"
        )
    if len(units) > _JAVA_SHORT_MOST:
        return _JAVA_STREAM + _JAVA_LONG + len(units).to_bytes(8, "big") + units
    return _JAVA_STREAM + _JAVA_SHORT + len(units).to_bytes(2, "big") + units


def _cut(avro: AvroType, length: int) -> Callable[[bytes], bytes] | None:
    """The function that writes a value cut to a length; None: it has no text and no bytes."""
    is_string = avro.schema == "string" or (isinstance(avro.schema, dict) and avro.schema["type"] == "string")
    form, function = avro.value.form, avro.value.function
    if form in (Form.STRING, Form.ENUM):
        return lambda text: _string(_cut_text(text, length))
    if form is Form.FUNCTION and is_string and function is not None:
        return lambda text: _string(_cut_text(_body(function(text)), length))
    if form is Form.BYTES:
        return lambda text: _string(bytes.fromhex(text.removeprefix(rb"\x").decode())[:length])
    return None


def _cut_text(text: bytes, length: int) -> bytes:
    """Cut as Java counts, in UTF-16 units; a character of two units is not cut in half."""
    if len(text) <= length:
        return text
    return text.decode().encode("utf-16-le")[: 2 * length].decode("utf-16-le", "ignore").encode()


def _body(string: bytes) -> bytes:
    """What stands behind an Avro string's length."""
    at = 0
    while string[at] & 0x80:
        at += 1
    return string[at + 1 :]
