"""Every encoding that a database can have: a payload becomes what the server itself makes of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest

from dev.stack import Stack
from producer.errors import DecodeError
from producer.source.encoding import to_utf8
from producer.source.wire import Connection, Server, connect
from tests.harness import source_of

SINGLE = [
    "ISO_8859_5", "ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "KOI8R", "KOI8U", "LATIN1", "LATIN2", "LATIN3",
    "LATIN4", "LATIN5", "LATIN6", "LATIN7", "LATIN8", "LATIN9", "LATIN10", "WIN866", "WIN874", "WIN1250",
    "WIN1251", "WIN1252", "WIN1253", "WIN1254", "WIN1255", "WIN1256", "WIN1257", "WIN1258",
]  # fmt: skip
WIDE = {
    "EUC_CN": "简体中文 汉字",
    "EUC_JIS_2004": "日本語 か゚ 𠀋 —",
    "EUC_JP": "日本語 ～∥－￠￡￢ ①② ﾊﾝｶｸ 丂侄 ascii",  # noqa: RUF001 (wide on purpose)
    "EUC_KR": "한국어 漢字 ㉾",
    "EUC_TW": "繁體中文 一丁",
}


@pytest.fixture
def session(stack: Stack, request: pytest.FixtureRequest) -> Iterator[tuple[Connection, Server, str]]:
    """A session of ours in a database of the encoding."""
    encoding: str = request.param
    with source_of(stack, f"t{secrets.token_hex(5)}", encoding) as source:
        server = Server(
            host="127.0.0.1", port=stack.postgres_port, user="postgres", password=stack.postgres_password,
            dbname=source.name, application_name="test",
        )  # fmt: skip
        with connect(server) as connection:
            yield connection, server, encoding


@pytest.mark.parametrize("session", SINGLE, indirect=True)
def test_each_byte_of_a_single_byte_encoding(session: tuple[Connection, Server, str]) -> None:
    """Byte by byte; a byte without a character is refused by both."""
    connection, server, encoding = session
    connection.execute("CREATE TEMPORARY TABLE t (code bytea, v text)")
    connection.execute(
        "INSERT INTO t SELECT code, convert_from(code, %s) FROM (SELECT set_byte('\\x00', 0, i) AS code "
        "FROM generate_series(1, 255) i) AS codes",
        (encoding,),
    )
    convert = to_utf8(connection, server, encoding)
    assert convert is not None
    refused = 0
    for byte in range(1, 256):
        code = bytes([byte])
        try:
            row = connection.execute("SELECT v FROM t WHERE code = %s", (code,)).fetchone()
        except psycopg.errors.UntranslatableCharacter:
            refused += 1
            with pytest.raises(DecodeError, match=f"0x{code.hex()} of the encoding {encoding}"):
                convert(b"before" + code)
        else:
            assert row is not None
            assert convert(b"before" + code) == b"before" + str(row[0]).encode()
    assert refused < 60


@pytest.mark.parametrize("session", sorted(WIDE), indirect=True)
def test_characters_of_several_bytes(session: tuple[Connection, Server, str]) -> None:
    """Twice the same: met, then known. Half a character is refused, not dropped."""
    connection, server, encoding = session
    text = WIDE[encoding]
    row = connection.execute("SELECT convert_to(%s, %s)", (text, encoding)).fetchone()
    assert row is not None
    payload = row[0]
    assert isinstance(payload, bytes)
    convert = to_utf8(connection, server, encoding)
    assert convert is not None
    for _ in range(2):
        assert convert(payload) == text.encode()
    with pytest.raises(DecodeError):
        convert(payload.replace(b" ", b"")[:1] + b" ")


@pytest.mark.parametrize("session", ["LATIN1"], indirect=True)
def test_the_content_of_a_logical_message_is_left_as_it_is(session: tuple[Connection, Server, str]) -> None:
    """It may be any bytes; its prefix is text."""
    convert = to_utf8(*session)
    assert convert is not None
    message = b'{"action":"M","xid":1,"prefix":"%s","content":"\xff\xe9,\\"content\\":\\""}'
    assert convert(message % b"\xe9") == message % "é".encode()


@pytest.mark.parametrize("session", ["UTF8"], indirect=True)
def test_utf8_costs_nothing(session: tuple[Connection, Server, str]) -> None:
    """Nothing is put between."""
    assert to_utf8(*session) is None
