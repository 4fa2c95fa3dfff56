"""Records of one table's topic, read for what a comparison needs: the key, the after-image as a text, the transaction.

Room: pipeline (pure, over the registry it asks). Confluent wire format; Avro specification, "Binary Encoding": of a
record nothing is read behind the last field that is wanted.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import fastavro
from fastavro.types import Schema

from producer.errors import DecodeError
from producer.pipeline.reconcile.topic_keys import FRAME, demand_same, not_ours
from producer.pipeline.verify.sides.texts import Digest, Text, bucket, digest, row_text, text_of
from producer.schema.avro import TableSchema
from producer.schema.topics import avro_name
from producer.sink.protocol import RawRecord
from producer.sink.reader import lossless, plain

UNCHANGED = "__producer.unchanged"
_REREAD = "__producer.reread"
_NOT_HELD = frozenset({"placeholder", "null"})
_WANTED = ("before", "after", "source")
_MAGIC = b"\x00"


@dataclass(frozen=True, slots=True)
class Held:
    """What a record says of its key."""

    lsn: int
    xid: int | None
    """None: a row that was read, or a delete of a comparison."""
    digest: Digest | None
    """None: the key is gone."""
    hidden: str | None
    """The columns that the record does not hold, a JSON array; the digest is without them."""
    reread: bool
    """Some of its values were read again: they may be younger than its transaction."""


class _Layout:
    """How values of one schema are read: up to the source, and the after-image by the columns of now."""

    def __init__(self, text: str, columns: Collection[str]) -> None:
        whole = lossless(json.loads(text))
        try:
            assert isinstance(whole, dict)
            fields = [field for field in whole["fields"] if field["name"] in _WANTED]
            value = next(branch for branch in fields[0]["type"] if isinstance(branch, dict))
            named = dict(_named(value, ""))
            self.texts = dict(_columns(value["fields"], columns, named))
        except (AssertionError, KeyError, IndexError, StopIteration, TypeError) as error:
            raise DecodeError(
                "a topic's value schema is no envelope of ours", remedy="does another program write to the topic?"
            ) from error
        self.schema: Schema = fastavro.parse_schema({**whole, "fields": fields})
        # Of a row that was walked just now, nothing but its columns is known.
        self.images: Schema = fastavro.parse_schema({**whole, "fields": fields[: _WANTED.index("source")]})


class Images:
    """Reads the records of one table's topic; `schema_of` gives a schema's text by its id."""

    def __init__(self, table: TableSchema, schema_of: Callable[[int], str], buckets: int) -> None:
        """The table has a key. Its rows' texts are of the columns that it has now."""
        assert table.key_schema is not None
        self._schema_of = schema_of
        self._buckets = buckets
        self._topic = table.topic
        self._key_text = table.key_schema
        key = lossless(json.loads(table.key_schema))
        assert isinstance(key, dict)
        named = dict(_named(key, ""))
        self._key_schema = fastavro.parse_schema(key)
        self._key_texts = [(field["name"], text_of(_resolved(field["type"], named))) for field in key["fields"]]
        self._columns = {avro_name(column.name): column.name for column in table.relation.sent_columns}
        self._own = _Layout(table.value_schema, self._columns)
        self._layouts: dict[int, _Layout] = {}
        self._same_keys: set[int] = set()

    def key(self, record: RawRecord) -> bytes:
        """The key without its frame.

        Raises:
            OperatorError: it is none of ours, or of another schema.
        """
        key = record.key
        if key is None or len(key) < FRAME or key[:1] != _MAGIC:
            raise not_ours(record)
        number = int.from_bytes(key[1:FRAME], "big")
        if number not in self._same_keys:
            demand_same(self._topic, number, self._schema_of(number), self._key_text)
            self._same_keys.add(number)
        return key[FRAME:]

    def bucket(self, key: bytes) -> int:
        """The bucket of a key without its frame."""
        if self._buckets == 1:
            return 0
        values = self._decoded_key(key)
        texts = (None if values[name] is None else text(values[name]) for name, text in self._key_texts)
        return bucket(row_text(texts), self._buckets)

    def key_json(self, key: bytes) -> object:
        """The key, without its frame, as a JSON document."""
        return plain(self._decoded_key(key))

    def held(self, record: RawRecord) -> Held:
        """What a record with a key and a value says.

        Raises:
            DecodeError: it is none of ours.
        """
        value = record.value
        assert value is not None
        where = f"topic {record.topic} [{record.partition}], offset {record.offset}"
        if len(value) < FRAME or value[:1] != _MAGIC:
            raise DecodeError(
                f"{where}: the value is not in Confluent's wire format",
                remedy="does another program write to the topic?",
            )
        layout = self._layout(int.from_bytes(value[1:FRAME], "big"))
        try:
            body: Any = fastavro.schemaless_reader(io.BytesIO(value[FRAME:]), layout.schema, None)
            source, after = body["source"], body["after"]
            lsn, xid = source["commit_lsn"], source["txId"]
        except (EOFError, ValueError, IndexError, KeyError, TypeError, ArithmeticError) as error:
            raise DecodeError(
                f"{where} does not follow its schema: {type(error).__name__}",
                remedy="is schema.registry.url the registry that the producer used?",
            ) from None
        headers = dict(record.headers) if record.headers else {}
        hidden = _hidden(headers.get(UNCHANGED)) if headers else None
        reread = bool(headers) and (UNCHANGED in headers or _REREAD in headers)
        found = None if after is None else self._digest(after, layout, hidden)
        return Held(lsn or 0, xid, found, hidden, reread)

    def emptied(self, record: RawRecord) -> Held:
        """What a record without a key says: a truncate.

        Raises:
            OperatorError: it is none.
        """
        if record.value is None:
            raise not_ours(record)
        found = self.held(record)
        if found.digest is not None:
            raise not_ours(record)
        return found

    def row(self, value: bytes, hidden: str | None) -> Digest:
        """The digest of a row that was walked just now by the table's own plan, without some columns."""
        body: Any = fastavro.schemaless_reader(io.BytesIO(value[FRAME:]), self._own.images, None)
        return self._digest(body["after"], self._own, hidden)

    def _digest(self, after: dict[str, Any], layout: _Layout, hidden: str | None) -> Digest:
        texts = layout.texts
        if hidden is not None:
            left_out = json.loads(hidden)
            after = {name: None if self._columns.get(name) in left_out else item for name, item in after.items()}
        # A column that the record does not know is null, as for whoever reads it by the schema of now.
        return digest(row_text([_printed(after, name, texts) for name in self._columns]))

    def _layout(self, number: int) -> _Layout:
        if number not in self._layouts:
            self._layouts[number] = _Layout(self._schema_of(number), self._columns)
        return self._layouts[number]

    def _decoded_key(self, key: bytes) -> dict[str, Any]:
        found = fastavro.schemaless_reader(io.BytesIO(key), self._key_schema, None)
        assert isinstance(found, dict)
        return found


def _printed(after: dict[str, Any], name: str, texts: dict[str, Text]) -> str | None:
    value = after.get(name)
    return None if value is None else texts[name](value)


def _hidden(header: bytes | None) -> str | None:
    """The columns that `__producer.unchanged` tells to be not there."""
    if header is None:
        return None
    columns = sorted(name for name, how in json.loads(header).items() if how in _NOT_HELD)
    return json.dumps(columns) if columns else None


def _columns(fields: Any, wanted: Collection[str], named: dict[str, Any]) -> Iterator[tuple[str, Text]]:
    for field in fields:
        if field["name"] in wanted:
            yield field["name"], text_of(_resolved(field["type"], named))


def _resolved(type: Any, named: dict[str, Any]) -> Any:
    """The type without null; a type that is only named, as it was defined."""
    if isinstance(type, list):
        type = next(branch for branch in type if branch != "null")
    return named.get(type, type) if isinstance(type, str) else type


def _named(schema: Any, space: str) -> Iterator[tuple[str, Any]]:
    """The records that are defined in a schema, by their names, with and without a namespace."""
    if isinstance(schema, list):
        for item in schema:
            yield from _named(item, space)
    elif isinstance(schema, dict):
        if schema.get("type") == "record":
            space = schema.get("namespace", space)
            yield schema["name"], schema
            yield f"{space}.{schema['name']}", schema
            for field in schema["fields"]:
                yield from _named(field["type"], space)
        for inner in ("items", "values"):
            yield from _named(schema.get(inner), space)
