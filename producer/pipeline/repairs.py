"""Keys whose rows are to be sent again, and whose deletes: what a comparison found to differ.

Room: pipeline (pure). docs/DESIGN.md, "Verify".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b

Names = tuple[str, str]
"""A table's schema and name."""

_FRAME = 5
# Of more keys than these, the table is compared whole.
MOST = 1_000_000


class Repairs:
    """By table: digests of keys, or all of its keys where there are very many."""

    def __init__(self) -> None:
        self._keys: dict[Names, set[bytes] | None] = {}
        self.total: dict[Names, int] = {}
        """Keys that differ."""

    def note(self, table: Names, keys: Iterable[bytes]) -> None:
        """These keys, without their frames, differ; a table without any is not to be read."""
        found: set[bytes] = set()
        total = 0
        for key in keys:
            total += 1
            if total <= MOST:
                found.add(_digest(key))
        if total:
            self._keys[table] = found if total <= MOST else None
            self.total[table] = total

    def __contains__(self, table: Names) -> bool:
        return table in self._keys

    def leaves_out(
        self, table: Names, other: Callable[[bytes | None], bool] | None
    ) -> Callable[[bytes | None], bool] | None:
        """Whether a key of the table, framed, is not to be sent: it does not differ, or `other` says so."""
        keys = self._keys.get(table)
        if keys is None:
            return other
        return lambda key: key is None or _digest(key[_FRAME:]) not in keys or (other is not None and other(key))

    def done(self, table: Names) -> None:
        """The table was read, and what differed went out."""
        self._keys.pop(table, None)


def _digest(key: bytes) -> bytes:
    return blake2b(key, digest_size=16).digest()
