"""Rows of a plugin that prints no type OIDs: their type names become OIDs before anybody reads them.

Room: decode (pure). wal2json 2.3 knows include-type-oids in format 1 only, and copies a type's name between quotes as
it is: `"type":""Q S"."My Enum"[]"` is no JSON, and is mended by the way.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from producer.errors import DecodeError

# Inside a value every quote is escaped, so this stands nowhere else.
# Behind a column's type stands its value, behind one of the primary key's nothing.
_NAME = re.compile(rb'"type":"(.*?)"(,"value":|\})', re.DOTALL)
_HALF = 1 << 31


class TypeNames:
    """What the names mean; `oid_of` asks the catalogue, and 0 is a type that is gone."""

    def __init__(self, oid_of: Callable[[str], int]) -> None:
        self._oid_of = oid_of
        self._known: dict[bytes, bytes] = {}

    def with_oids(self, message: bytes) -> bytes:
        """The same row as wal2json 2.5 prints it.

        Raises:
            DecodeError: a type's name is no UTF-8.
        """
        return _NAME.sub(self._replaced, message)

    def _replaced(self, name: re.Match[bytes]) -> bytes:
        known = self._known.get(name[1])
        if known is not None:
            return known + name[2]
        try:
            words = name[1].decode()
        except UnicodeDecodeError as error:
            raise DecodeError("a type's name that is no UTF-8", remedy="report it with the plugin's version") from error
        oid = self._oid_of(words)
        # Signed, as that release prints it.
        text = b'"typeoid":%d' % (oid - 2 * _HALF if oid >= _HALF else oid)
        if oid:
            self._known[name[1]] = text
        return text + name[2]
