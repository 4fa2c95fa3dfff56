"""The `transaction` block of an event: the transaction's id, and the event's place in it and among its table's.

Room: transcode (pure). Avro specification, "Binary Encoding"; the record is
schemas/transaction_block.avsc. Types are in block.pxd.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from producer.transcode.writer import Writer


class Tally:
    """The events of one table in one transaction."""

    def __init__(self) -> None:
        self.events = 0
        # The ordinal of the last of them.
        self.latest = 0


class Blocks:
    """Writes the block of every event between `begin` and `end`, and null outside; counts the events."""

    def __init__(self) -> None:
        self._open = False
        self._head = b""
        self._tallies: dict[bytes, Tally] = {}
        # The table of the event before.
        self._names: bytes | None = None
        self._tally = Tally()
        self._out = Writer()

    def begin(self, id: str) -> None:
        """A transaction whose events carry blocks begins."""
        data = id.encode()
        out = self._out
        out.rewind()
        out.put(2)
        out.string(data, 0, len(data))
        self._head = out.take(0, out.at)
        self._tallies = {}
        self._names = None
        self._open = True

    def end(self) -> dict[bytes, int]:
        """The transaction is complete: its events by table, in the order of their first ones."""
        self._open = False
        return {names: tally.events for names, tally in self._tallies.items()}

    def block(self, names: bytes, ordinal: int) -> bytes:
        """The block of an event that no walker writes; null outside of a transaction."""
        out = self._out
        out.rewind()
        self.write(out, names, ordinal)
        return out.take(0, out.at)

    def write(self, out: Writer, names: bytes, ordinal: cython.longlong) -> cython.int:
        """The block of the event with this ordinal, of the table with these names, or null.

        A row may be walked again, once it is completed: an ordinal that was counted is not counted twice.
        """
        if not self._open:
            out.put(0)
            return 0
        if self._names is not names:
            found = self._tallies.get(names)
            if found is None:
                found = self._tallies[names] = Tally()
            self._names = names
            self._tally = found
        tally: Tally = self._tally
        place: cython.longlong
        if ordinal > tally.latest:
            tally.latest = ordinal
            tally.events += 1
            place = tally.events
        else:
            # A row's events are of one table, and their ordinals follow each other.
            place = tally.events - (tally.latest - ordinal)
        out.raw(self._head)
        out.long(ordinal)
        out.long(place)
        return 0
