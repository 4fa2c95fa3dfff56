"""Databases in another encoding than UTF8: the same text on both paths, names too; what is no text is refused."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.stack import Stack
from tests import harness
from tests.harness import Command, Source, source_of

In = Callable[[str], tuple[Source, Command]]


@pytest.fixture
def in_encoding(stack: Stack, tmp_path: Path) -> Iterator[In]:
    """A database in an encoding, and the command for it."""
    with contextlib.ExitStack() as ends:

        def make(encoding: str) -> tuple[Source, Command]:
            source = ends.enter_context(source_of(stack, f"t{secrets.token_hex(5)}", encoding))
            command = Command(stack, source, tmp_path)
            ends.callback(command.end)
            return source, command

        yield make


def synced(command: Command) -> None:
    """A sync run that succeeds."""
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr


# (encoding, text, a name in it): characters in which Python's codec and the server differ are among them.
TEXTS = [
    ("LATIN1", "".join(map(chr, range(0x20, 0x100))), "größe é"),
    ("WIN1252", bytes(range(0x80, 0x100)).decode("cp1252", "ignore") + ' é\\"', "Œuvre€"),
    ("EUC_JP", "日本語 ～∥－￠￡￢ ①② ﾊﾝｶｸ 丂侄 ascii", "表 名"),  # noqa: RUF001 (wide on purpose)
    ("EUC_TW", "繁體中文 一丁", "表"),
]


@pytest.mark.parametrize(("encoding", "text", "name"), TEXTS, ids=[encoding for encoding, _, _ in TEXTS])
def test_both_paths_give_the_same_text(in_encoding: In, encoding: str, text: str, name: str) -> None:
    """Rows, keys, names of table and column, a reread row; the plugin's filter finds the table by its name."""
    source, command = in_encoding(encoding)
    with source.connect() as session:
        for statement in (
            f'CREATE TABLE "{name}" (k text PRIMARY KEY, "{name}" text, n int, big text, ts text[])',
            f'ALTER TABLE "{name}" ALTER big SET STORAGE external',
            "CREATE TABLE other (id int PRIMARY KEY, v text)",
        ):
            session.execute(statement.encode())
        insert = f'INSERT INTO "{name}" VALUES (%s, %s, 1, repeat(%s, 1000), ARRAY[%s])'.encode()
        session.execute(insert, ("1" + text, text, text, text))
        synced(command)
        session.execute(insert, ("2" + text, text, text, text))
        session.execute(f'UPDATE "{name}" SET n = 2'.encode())
        session.execute(f'DELETE FROM "{name}" WHERE k = %s'.encode(), ("1" + text,))
    synced(command)
    records: list[Any] = list(command.records())
    assert [record.value and record.value["op"] for record in records] == ["r", "c", "u", "u", "d", None]
    whole = {"n": 1, "big": text * 1000, "ts": [text]}
    for record, number in zip(records[:2], "12", strict=True):
        assert record.key == {"k": number + text}
        after = dict(record.value["after"])
        assert after.pop("k") == number + text
        assert [after.pop(column) for column in list(after) if column not in whole] == [text]
        assert after == whole
        assert record.value["source"]["table"] == name
    # The key finds the row again, in the server's encoding; the other row has gone.
    assert [json.loads(record.headers[0][1])["big"] for record in records[2:4]] == ["placeholder", "reselected"]
    assert records[3].value["after"]["big"] == text * 1000
    assert records[4].key == {"k": "1" + text}


def test_bytes_that_are_no_text_stop_with_their_lsn(in_encoding: In) -> None:
    """On both paths exit 4; what came before is delivered, nothing of the message or behind it is confirmed."""
    source, command = in_encoding("WIN1252")
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    synced(command)
    poison = "INSERT INTO t VALUES (2, convert_from('\\x6181', 'WIN1252'))"
    source.execute("INSERT INTO t VALUES (1, 'é')", poison, "INSERT INTO t VALUES (3, 'x')")
    for _ in range(2):
        done = command.run("run", "--once")
        assert done.returncode == 4, done.stderr
        assert re.search("the message at [0-9A-F]+/[0-9A-F]+", done.stderr)
        if harness.PLUGIN == "wal2json":
            assert '"schema":"public","table":"t"' in done.stderr
            assert "0x81 of the encoding WIN1252" in done.stderr
        else:
            assert 'byte sequence 0x81 in encoding "WIN1252"' in done.stderr
    everything: list[Any] = list(command.records())
    assert {record.key["id"] for record in everything} == {1}
    assert command.run("slot", "drop", "--yes").returncode == 0
    copied = command.run("run", "--once")
    assert copied.returncode == 4, copied.stderr
    assert "copying public.t" in copied.stderr
    source.execute("UPDATE t SET v = 'mended' WHERE id = 2")
    synced(command)
    records: list[Any] = list(command.records())
    assert {record.key["id"]: record.value["after"]["v"] for record in records} == {1: "é", 2: "mended", 3: "x"}


@pytest.mark.parametrize(("encoding", "words"), [("SQL_ASCII", "do not know"), ("MULE_INTERNAL", "not supported")])
def test_encodings_without_a_meaning_are_refused(in_encoding: In, encoding: str, words: str) -> None:
    """Exit 3 with the reason and the way out, before a slot is made; `check` says the same."""
    source, command = in_encoding(encoding)
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    done = command.run("run", "--once")
    assert done.returncode == 3, done.stderr
    assert encoding in done.stderr
    assert "ENCODING 'UTF8'" in done.stderr
    assert source.confirmed_lsn() is None
    checked = command.run("check")
    assert checked.returncode == 3
    assert encoding in checked.stdout


def test_check_names_the_encoding(in_encoding: In) -> None:
    """One line, ok."""
    source, command = in_encoding("LATIN1")
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    checked = command.run("check")
    assert checked.returncode == 0, checked.stdout
    assert "LATIN1, sent as UTF-8" in checked.stdout
