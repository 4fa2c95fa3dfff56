"""A row of the snapshot that no record can carry: the error, and its dead letter.

Room: pipeline (pure over the walker it is given). docs/errors.md, "Dead letters".
"""

from __future__ import annotations

import json
from dataclasses import replace

from producer.decode import copytext
from producer.errors import ConversionError, ProducerError
from producer.events import Position
from producer.lsn import Lsn
from producer.pipeline.side.dead_letters import DeadLetters, Letter, Outgoing
from producer.pipeline.tables.plans import Shape
from producer.sink.kafka import map_kafka_error
from producer.source.catalog import Table
from producer.transcode.plan import FormError
from producer.transcode.walker import Walker


def refused(walker: Walker, table: Table, shape: Shape, error: FormError, at: Lsn) -> ConversionError:
    """What stands in the way of the row that the walker walked last."""
    column = walker.column
    columns = shape.relation.columns
    name = columns[column].name if 0 <= column < len(columns) else "?"
    return ConversionError(
        f"table {table.qualified_name}, column {name}, in the snapshot at {at}: {error.reason}",
        remedy=error.remedy,
        column=name,
    )


def unsent(walker: Walker, table: Table, shape: Shape, error: Exception) -> ProducerError:
    """Why the Kafka client does not take the row."""
    size = len(walker.value or b"") + len(walker.key or b"")
    return map_kafka_error(error, f"topic {shape.plan.topic}, a row of {table.qualified_name} of {size} bytes")


def letter(
    dead_letters: DeadLetters, walker: Walker, shape: Shape, row: bytes, error: ConversionError, at: Lsn
) -> Outgoing:
    """The row of COPY's text, each column as text or null, with its key where that can be made."""
    fields = copytext.fields(row)
    names = [column.name for column in shape.relation.read_columns]
    withheld = shape.plan.withheld
    return dead_letters.record(
        Letter(
            error=error,
            topic=shape.plan.topic,
            key=_key(walker, shape, row, at) if len(fields) == len(names) else None,
            table=shape.relation.qualified_name,
            row={
                name: json.dumps(copytext.text(field), ensure_ascii=False).encode()
                for name, field in zip(names, fields, strict=False)
                if name not in withheld
            },
            key_columns=shape.relation.key,
            lsn=at,
            position=Position(at, 0),
        )
    )


def _key(walker: Walker, shape: Shape, row: bytes, at: Lsn) -> bytes | None:
    """That of a row with nothing else in it."""
    places = frozenset(shape.plan.key)
    columns = tuple(replace(column, nullable=place not in places) for place, column in enumerate(shape.plan.columns))
    keys = frozenset(place for place, one in enumerate(shape.relation.read_columns) if one.name in shape.relation.key)
    try:
        walker.copy_row(copytext.only(row, keys), replace(shape.plan, columns=columns), at)
    except FormError:
        return None
    return walker.key
