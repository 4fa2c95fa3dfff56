"""The output buffer, reused from row to row, and Avro's primitive encodings.

Room: transcode (pure). Avro specification, "Binary Encoding". Types are in writer.pxd.
"""

# mypy: disable-error-code="name-defined"
from __future__ import annotations

import cython

# A buffer that a big row has made larger than this is given back before the next row.
_KEPT = 4_194_304
_FIRST = 8192


class Writer:
    """Bytes written one behind the other; `at` is where the next one goes."""

    def __init__(self) -> None:
        self.data = bytearray(_FIRST)
        self.capacity = _FIRST
        self.at = 0

    def rewind(self) -> cython.int:
        """Begin again at the start."""
        self.at = 0
        if self.capacity > _KEPT:
            self.data = bytearray(_FIRST)
            self.capacity = _FIRST
        return 0

    def reserve(self, size: cython.Py_ssize_t) -> cython.int:
        """Make sure that `size` more bytes fit."""
        capacity: cython.Py_ssize_t
        if self.at + size > self.capacity:
            capacity = 2 * (self.at + size)
            larger = bytearray(capacity)
            larger[: self.at] = self.data[: self.at]
            self.data = larger
            # Last: without memory nothing was changed, and no copy relies on room that is not there.
            self.capacity = capacity
        return 0

    def put(self, value: cython.uchar) -> cython.int:
        """One byte."""
        if self.at >= self.capacity:
            self.reserve(1)
        self.data[self.at] = value
        self.at += 1
        return 0

    def long(self, value: cython.longlong) -> cython.int:
        """An int or long: zig-zag, seven bits a byte, least significant first."""
        number: cython.ulonglong
        if value < 0:
            number = -(value + 1)
            number = number * 2 + 1
        else:
            number = value
            number = number * 2
        if self.at + 10 > self.capacity:
            self.reserve(10)
        while number > 0x7F:
            self.data[self.at] = (number & 0x7F) | 0x80
            self.at += 1
            number >>= 7
        self.data[self.at] = number
        self.at += 1
        return 0

    def raw(self, source: bytes) -> cython.int:
        """Ready bytes, as they are."""
        return self.copy(source, 0, len(source))

    def copy(self, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """A part of `source`, as it is.

        Raises:
            IndexError: the part reaches beyond `source`.
        """
        size: cython.Py_ssize_t = end - start
        if start < 0 or size < 0 or end > len(source):
            raise IndexError("beyond the end")
        if self.at + size > self.capacity:
            self.reserve(size)
        if size:
            if cython.compiled:
                memcpy(cython.address(self.data[self.at]), cython.cast(cython.p_char, source) + start, size)
            else:
                self.data[self.at : self.at + size] = source[start:end]
            self.at += size
        return 0

    def string(self, source: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """A string or bytes: its length, then itself."""
        self.long(end - start)
        return self.copy(source, start, end)

    def append(self, other: Writer, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """A part of what another writer holds."""
        size: cython.Py_ssize_t = end - start
        if start < 0 or size < 0 or end > other.at:
            raise IndexError("beyond the end")
        if self.at + size > self.capacity:
            self.reserve(size)
        if size:
            if cython.compiled:
                memcpy(cython.address(self.data[self.at]), cython.address(other.data[start]), size)
            else:
                self.data[self.at : self.at + size] = other.data[start:end]
            self.at += size
        return 0

    def swap(self, other: Writer) -> cython.int:
        """Exchange what two writers hold."""
        data = self.data
        at: cython.Py_ssize_t = self.at
        capacity: cython.Py_ssize_t = self.capacity
        self.data = other.data
        self.at = other.at
        self.capacity = other.capacity
        other.data = data
        other.at = at
        other.capacity = capacity
        return 0

    def take(self, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> bytes:
        """A copy of what was written between two places."""
        if start < 0 or end < start or end > self.at:
            raise IndexError("beyond the end")
        if start == end:
            return b""
        if cython.compiled:
            return PyBytes_FromStringAndSize(cython.cast(cython.p_char, cython.address(self.data[start])), end - start)
        return bytes(self.data[start:end])
