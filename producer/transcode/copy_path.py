"""The fast path of a snapshot: COPY's rows to the sink, without a step of Python's own for any of them.

Room: transcode (pure: it calls what it is given). Types are in copy_path.pxd.
"""

from __future__ import annotations

from collections.abc import Callable

import cython

from producer.transcode.fast_path import EMPTY, ENDED, FULL
from producer.transcode.plan import TablePlan

if not cython.compiled:
    from producer.transcode.walker import Walker


class CopyPath:
    """Copies rows, always one behind: the last one's `source.snapshot` is not known before there is no other."""

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self.held: bytes | None = None
        """The row that is behind all others so far."""
        self.records = 0
        """Handed to the sink by the last run."""
        self.size = 0
        """Their bytes."""

    def run(
        self,
        get: Callable[[int], tuple[int, memoryview]],
        produce: Callable[..., object],
        ack: Callable[[object, object], None],
        plan: TablePlan,
        lsn: int,
        held: bytes | None,
        most: cython.Py_ssize_t,
        most_bytes: cython.Py_ssize_t,
    ) -> int:
        """Send `held` and what follows it from `get`, but for the last: why it ended, as one of FastPath's codes.

        Raises:
            FormError, and what `produce` raises: `held` is the row, and was not sent.
        """
        size: cython.Py_ssize_t
        walker = self._walker
        self.held = held
        self.records = self.size = 0
        while self.records < most and self.size < most_bytes:
            found, data = get(1)
            size = found
            if size <= 0:
                return EMPTY if size == 0 else ENDED
            row: bytes | None = self.held
            if row is not None:
                walker.copy_row(row, plan, lsn)
                produce(walker.topic, walker.value, walker.key, -1, ack)
                self.records += 1
                if walker.key is not None:
                    self.size += len(walker.key)
                if walker.value is not None:
                    self.size += len(walker.value)
            self.held = bytes(data)
        return FULL
