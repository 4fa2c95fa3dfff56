"""The log sequence number: a byte position in PostgreSQL's write-ahead log.

Room: lsn (pure). PostgreSQL manual, "pg_lsn Type" and "WAL Internals".
"""

from __future__ import annotations

import re

from producer.errors import DecodeError

_TEXT = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_MAX = 0xFFFF_FFFF_FFFF_FFFF
_PAGE = 8192
# XLogShortPHD and XLogLongPHD: what a page, and a segment's first page, begin with.
_PAGE_HEADERS = (24, 40)


class Lsn(int):
    """An LSN: ordered like the integer it is, written like `16/B374D848`.

    A position computed by us is never an LSN to confirm: only what the server sent is.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Lsn:
        """Read `16/B374D848`.

        Raises:
            DecodeError: the text is not two hexadecimal numbers of 32 bits.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise DecodeError(f"not an LSN: {text[:40]!r}", remedy="an LSN looks like 16/B374D848")
        high, low = found.groups()
        return cls((int(high, 16) << 32) | int(low, 16))

    def page_start(self) -> Lsn:
        """The page's start when this lies just behind a page header, else itself.

        An idle server's insert position can stand behind a header that was never sent:
        waiting for it would be waiting for ever.
        """
        return Lsn(self - self % _PAGE) if self % _PAGE in _PAGE_HEADERS else self

    def __str__(self) -> str:
        return f"{self >> 32:X}/{self & 0xFFFF_FFFF:X}"

    def __repr__(self) -> str:
        return f"Lsn({str(self)!r})"


ZERO = Lsn(0)
LAST = Lsn(_MAX)
