r"""A row of COPY's text format, taken apart: the general path beside the walker's.

Room: decode (pure). PostgreSQL manual, "COPY", "Text Format".
"""

from __future__ import annotations

import re

_NULL = rb"\N"
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_MEANT = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def fields(row: bytes) -> list[bytes]:
    """The fields as they stand in the row, escaped."""
    return row.removesuffix(b"\n").split(b"\t")


def text(field: bytes) -> str | None:
    """What the output function printed; None for NULL."""
    if field == _NULL:
        return None
    return _ESCAPE.sub(lambda found: _MEANT.get(found[1], found[1]), field).decode("utf-8", "replace")


def only(row: bytes, places: frozenset[int]) -> bytes:
    """The same row with NULL everywhere but in these places."""
    kept = (field if place in places else _NULL for place, field in enumerate(fields(row)))
    return b"\t".join(kept) + b"\n"
