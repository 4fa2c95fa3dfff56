"""The delete of a key of which nothing else is known: its envelope holds the key's columns, no more.

Room: pipeline (pure). Avro specification, "Binary Encoding": fields follow each other, unmarked.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import fastavro

from producer.errors import OperatorError
from producer.pipeline.tables.plans import Shape
from producer.sink.reader import lossless
from producer.transcode.source_block import delete_value

_FRAME = 5
_SOME = b"\x02"


class KeyDelete:
    """Makes the deletes of one table from the bytes of keys."""

    def __init__(self, shape: Shape) -> None:
        """Ready for the table's keys.

        Raises:
            OperatorError: the table has no key, or its envelope holds the key otherwise than the key does.
        """
        plan, name = shape.plan, shape.relation.qualified_name
        if not plan.key or shape.schemas.key_schema is None:
            raise OperatorError(
                f"table {name} has no key: which of its rows are gone cannot be told to topic {plan.topic}",
                remedy="give the table a key (message.key.columns), or its topic cleanup.policy=delete",
            )
        masked = [plan.columns[place].name for place in plan.key if plan.columns[place].masked]
        if masked:
            raise OperatorError(
                f"table {name}: the key column {', '.join(masked)} is masked: a delete cannot be made from the key",
                remedy="take the column's mask away, or its topic cleanup.policy=delete",
            )
        self._plan = plan
        schema: Any = lossless(json.loads(shape.schemas.key_schema))
        # Each column's end is where the key would end if the column were its last.
        self._parts = [
            fastavro.parse_schema({**schema, "fields": schema["fields"][: count + 1]}) for count in range(len(plan.key))
        ]

    def value(self, key: bytes, source: bytes, block: bytes, outer_times: bytes) -> bytes:
        """The framed envelope for a framed key."""
        return delete_value(self._plan.value_frame, self._before(key), source, block, outer_times)

    def _before(self, key: bytes) -> bytes:
        spans = dict(zip(self._plan.key, self._spans(key), strict=True))
        out = []
        for place in self._plan.order or range(len(self._plan.columns)):
            column = self._plan.columns[place]
            if column.value is None:
                continue
            if place in spans:
                out.append((_SOME if column.nullable else b"") + spans[place])
            else:
                out.append(column.absent)
        return b"".join(out)

    def _spans(self, key: bytes) -> Sequence[bytes]:
        start, found = _FRAME, []
        for schema in self._parts:
            body = io.BytesIO(key)
            body.seek(_FRAME)
            fastavro.schemaless_reader(body, schema, None)
            found.append(key[start : body.tell()])
            start = body.tell()
        return found
