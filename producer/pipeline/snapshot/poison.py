"""A row of the snapshot that no record can carry: its error, its dead letter.

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
from producer.sink.verdicts import map_kafka_error
from producer.transcode.plan import FormError
from producer.transcode.walker import Walker


def refused(walker: Walker, shape: Shape, error: FormError, at: Lsn) -> ConversionError:
    """What a value that cannot be carried is told as; the walker has walked its row last."""
    column, columns, table = walker.column, shape.relation.columns, shape.relation.qualified_name
    name = columns[column].name if 0 <= column < len(columns) else "?"
    return ConversionError(
        f"table {table}, column {name}, in the snapshot at {at}: {error.reason}", remedy=error.remedy, column=name
    )


def unsent(walker: Walker, shape: Shape, error: Exception) -> ProducerError:
    """What the Kafka client's refusal of the row that the walker has walked last is told as."""
    size = len(walker.value or b"") + len(walker.key or b"")
    table = shape.relation.qualified_name
    return map_kafka_error(error, f"topic {shape.plan.topic}, a row of {table} of {size} bytes")


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
            key=key_of(walker, shape, row, at) if len(fields) == len(names) else None,
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


def key_of(walker: Walker, shape: Shape, row: bytes, at: Lsn) -> bytes | None:
    """The key of a row with nothing else in it; None: it cannot be made."""
    places = frozenset(shape.plan.key)
    columns = tuple(replace(column, nullable=place not in places) for place, column in enumerate(shape.plan.columns))
    keys = frozenset(place for place, one in enumerate(shape.relation.read_columns) if one.name in shape.relation.key)
    try:
        walker.copy_row(copytext.only(row, keys), replace(shape.plan, columns=columns), at)
    except FormError:
        return None
    return walker.key
