"""Databases in another encoding than UTF8: the plugin's text as UTF-8, as the server itself converts it.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Character Set Support".
A session's text is converted by the server, an output plugin's is not: it comes in the database's
encoding. The snapshot is converted by the server, so the stream asks it what each character is.
Python's codecs disagree with it in common ones (EUC_JP: wave dash, minus, circled digits).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from psycopg import errors

from producer.errors import DecodeError, ServerNotReady
from producer.source.wire import Connection, Server, explained

ToUtf8 = Callable[[bytes], bytes]
"""Takes a message's payload. Raises DecodeError for a character that UTF-8 has not."""

_UTF8 = "UTF8"
_MOVE = (
    "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0;  then move the data there with "
    "pg_dump --encoding=<what the bytes really are>"
)
_NO_MEANING = {
    "SQL_ASCII": "the server does not know what its bytes above 127 mean, so nobody can turn them into text",
    "MULE_INTERNAL": "the server has no conversion between it and UTF8",
}
# Of an EUC encoding: ASCII, code set 2 (in EUC_TW four bytes), code set 3, code set 1, half a character.
_EUC = rb"[\x00-\x7f]+|\x8e%s|\x8f[\x80-\xff]{2}|[\x80-\xff]{2}|[\x80-\xff]"
_CODE_SET_2 = {"EUC_TW": rb"[\x80-\xff]{3}"}
# A logical message's content may be any bytes: it is left as it is. No prefix holds a bare quote.
_MESSAGE = b'{"action":"M"'
_CONTENT = b',"content":"'


def refusal(encoding: str) -> ServerNotReady | None:
    """Why a database in this encoding cannot be read; None: it can."""
    reason = _NO_MEANING.get(encoding)
    if reason is None:
        return None
    return ServerNotReady(f"the database's encoding is {encoding}: {reason}", remedy=_MOVE)


def to_utf8(connection: Connection, server: Server, encoding: str) -> ToUtf8 | None:
    """What turns a message's payload into UTF-8; None where it is UTF-8 already.

    `connection` is an ordinary session of the same database: characters that were not met yet are
    asked for while the stream is read.
    """
    if encoding == _UTF8:
        return None
    asks = _Server(connection, server, encoding)
    convert = asks.single_byte() if asks.widest() == 1 else asks.euc()

    def converted(payload: bytes) -> bytes:
        if payload.isascii():
            return payload
        if payload.startswith(_MESSAGE):
            head, mark, content = payload.partition(_CONTENT)
            return convert(head) + mark + content
        return convert(payload)

    return converted


class _Server:
    """Asks the server what it makes of characters of its encoding."""

    def __init__(self, connection: Connection, server: Server, encoding: str) -> None:
        self._connection = connection
        self._server = server
        self._encoding = encoding

    def widest(self) -> int:
        """The bytes of the longest character."""
        row = self._connection.execute(b"SELECT pg_encoding_max_length(pg_char_to_encoding(%s))", (self._encoding,))
        found = row.fetchone()
        return int(str(found[0])) if found else 1

    def text(self, code: bytes) -> str | None:
        """The code's text; None: the server has none."""
        with explained(self._server, f"converting {self._encoding}"):
            try:
                row = self._connection.execute(b"SELECT convert_from(%s, %s)", (code, self._encoding)).fetchone()
            except (errors.UntranslatableCharacter, errors.CharacterNotInRepertoire):
                return None
        return None if row is None else str(row[0])

    def single_byte(self) -> ToUtf8:
        """By a table of 255 characters, asked for at once."""
        table = "\0" + "".join(self._characters(bytes(range(1, 256))))

        def convert(payload: bytes) -> bytes:
            try:
                return codecs.charmap_decode(payload, "strict", table)[0].encode()
            except UnicodeDecodeError as error:
                raise self._none(payload[error.start : error.start + 1]) from error

        return convert

    def _characters(self, codes: bytes) -> list[str]:
        text = self.text(codes)
        if text is not None and len(text) == len(codes):
            return list(text)
        if len(codes) == 1:
            # What charmap_decode takes for "undefined".
            return ["\ufffe"]
        half = len(codes) // 2
        return self._characters(codes[:half]) + self._characters(codes[half:])

    def euc(self) -> ToUtf8:
        """By a table that is filled as characters are met: there are thousands."""
        known = _Characters(self._euc_character)
        split = re.compile(_EUC % _CODE_SET_2.get(self._encoding, rb"[\x80-\xff]")).findall

        def convert(payload: bytes) -> bytes:
            return b"".join(map(known.__getitem__, split(payload)))

        return convert

    def _euc_character(self, code: bytes) -> bytes:
        text = self.text(code)
        if text is None:
            raise self._none(code)
        return text.encode()

    def _none(self, code: bytes) -> DecodeError:
        return DecodeError(
            f"the character 0x{code.hex()} of the encoding {self._encoding} has no equivalent in UTF-8",
            remedy="the row holds bytes that are no text: to go on without them set table.exclude.list; then "
            "mend the row",
        )


class _Characters(dict[bytes, bytes]):
    """A code's UTF-8; a run of ASCII is its own."""

    def __init__(self, ask: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._ask = ask

    def __missing__(self, code: bytes) -> bytes:
        if code.isascii():
            return code
        found = self[code] = self._ask(code)
        return found
