"""Progress: bars on a terminal, lines elsewhere, JSON documents where they are asked for."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.harness import Command, Source
from tests.proxy import Link

_TABLES = 30
_COLUMNS, _LINES = 110, 24


def on_a_terminal(command: Command, *arguments: str, seconds: float = 60) -> tuple[int, str]:
    """The exit code, and all that the terminal was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    environment = {**command.environment(), "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        environment.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-m", "producer", *arguments], env=environment, stdout=theirs, stderr=theirs, stdin=theirs
    ) as process:
        os.close(theirs)
        sent = b""
        # EIO: nobody has the other side any more.
        try:
            while piece := os.read(ours, 65536):
                sent += piece
        except OSError:
            pass
        process.wait(seconds)
    os.close(ours)
    return process.returncode, sent.decode()


@pytest.fixture
def many(source: Source) -> Source:
    """Some tables, one of them with more rows."""
    with source.connect() as session:
        for number in range(_TABLES):
            session.execute(f"CREATE TABLE t{number:02} (id int PRIMARY KEY, v text)".encode())
        session.execute(b"INSERT INTO t00 SELECT i, repeat('x', 50) FROM generate_series(1, 50000) i; ANALYZE t00")
        session.execute(b"INSERT INTO t01 VALUES (1, 'one')")
    return source


def test_a_snapshot_on_a_terminal(many: Source, command: Command) -> None:
    """Rows, rate, time, the sum of all tables; a few lines, whatever the number of tables; log lines stand above."""
    code, sent = on_a_terminal(command, "run", "--once")
    assert code == 0, sent
    assert f"{_TABLES} of {_TABLES} tables" in sent
    for words in ("50,000 rows", " rows/s", "public.t00", "in 0:00:0"):
        assert words in sent, sent
    ups = [len(found) for found in re.findall(r"(?:\x1b\[1A\x1b\[2K)+", sent)]
    assert ups
    assert max(ups) // len("\x1b[1A\x1b[2K") <= 10
    # The line of the log begins where a line does.
    plain = re.sub(r"\x1b\[[?0-9;]*[hlm]", "", sent)
    assert re.search(r"(?:\n|\r|\x1b\[2K)\d{4}-\d\d-\d\dT\S+ .*the snapshot is complete", plain), plain


def test_a_comparison_on_a_terminal(source: Source, command: Command) -> None:
    """Whatever a table is called; a few bars, the result below them."""
    source.execute(
        'CREATE TABLE "[/red]" (id int PRIMARY KEY)', 'CREATE SCHEMA "s.x"',
        'CREATE TABLE "s.x".t (id int PRIMARY KEY)',
        *(f"CREATE TABLE t{n} (id int)" for n in range(1, 4)),
    )  # fmt: skip
    settings = [f"--set=message.key.columns={';'.join(f'public.t{n}:id' for n in range(1, 4))}"]
    assert command.run("run", "--once", *settings).returncode == 0
    code, sent = on_a_terminal(command, "verify", *settings, "[/red]", "s.x.t", "public.t1", "t2", "t3")
    assert code == 0, sent
    assert "public.[/red]: equal" in sent
    assert "s.x.t: equal" in sent
    ups = [len(found) for found in re.findall(r"(?:\x1b\[1A\x1b\[2K)+", sent)]
    assert max(ups) // len("\x1b[1A\x1b[2K") <= 10


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "no terminal"])
def test_every_line_is_a_document(many: Source, command: Command, terminal: bool) -> None:
    """log.format=json: progress too, on a terminal too; a wrong command line too."""
    for arguments, expected in (
        (("run", "--once"), 0),
        (("run", "--twice"), 2),
        (("status", "extra"), 2),
        (("rnu",), 2),
    ):
        asked = (*arguments, "--set", "log.format=json")
        if terminal:
            code, text = on_a_terminal(command, *asked)
        else:
            done = command.run(*asked)
            code, text = done.returncode, done.stdout + done.stderr
        assert code == expected, text
        documents = [json.loads(line) for line in text.splitlines()]
        assert all({"event", "level", "timestamp"} <= set(document) for document in documents)
        told = {document["event"] for document in documents}
        if expected == 0:
            assert "snapshot of a table is read" in told
        else:
            assert documents[-1]["remedy"]


def test_once_tells_how_much_is_left(source: Source, command: Command) -> None:
    """`run --once` behind a slow link: bytes of the backlog, rate, time left."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    assert command.run("run", "--once").returncode == 0
    source.execute("INSERT INTO t SELECT i, repeat('x', 5000) FROM generate_series(1, 1500) i")
    link = Link(source.stack.postgres_port)
    link.bytes_per_second = 500_000
    try:
        running = command.start("run", "--once", settings={"database.port": link.port, "log.format": "json"})
        running.wait_for("catching up", 60)
        link.bytes_per_second = math.inf
        assert running.process.wait(60) == 0, running.stderr
    finally:
        link.close()
    lines = [json.loads(line) for line in running.stderr.splitlines()]
    line = next(line for line in lines if line["event"] == "catching up")
    assert line["bytes_left"] > 0
    assert line["seconds_left"] >= 0
    assert len(command.records()) == 1500


def test_waiting_for_the_slot_is_told(source: Source, command: Command, tmp_path: Path) -> None:
    """A slot is made once older transactions have ended: which may be long. SIGTERM ends the wait, exit 0."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    waits = "waiting: the slot is made once older transactions have ended"
    with source.connect() as other:
        other.execute(b"BEGIN; INSERT INTO t VALUES (1)")
        running = command.start("run")
        running.wait_for(waits)
        assert running.stop(seconds=8) == 0, running.stderr
        running = command.start("run", "--once")
        running.wait_for(waits)
        other.execute(b"COMMIT")
    assert running.process.wait(60) == 0, running.stderr
    assert len(command.records()) == 1
