"""PostgreSQL of another suite: run in its tree, killed, wiped; and what is told when it cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dev import matrix
from dev.debian import postgres_tree, unpack_postgres
from dev.shell import StackError
from dev.stack import Stack

MAJOR = 17


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL 17 alone."""
    made = Stack(tmp_path_factory.mktemp("matrix") / "stack", Stack.load().cache, MAJOR)
    made.start("postgres")
    yield made
    made.wipe()


def test_it_is_that_major_and_decodes(other: Stack) -> None:
    """With the plugin's version as its package says, and the server package's own extensions."""
    assert other.postgres_version.startswith(f"{MAJOR}.")
    assert other.wal2json_version == "2.6"
    with psycopg.connect(other.postgres_dsn(), autocommit=True) as connection:
        assert connection.info.server_version // 10000 == MAJOR
        for extension in (b"hstore", b"citext", b"ltree", b"vector"):
            connection.execute(b"CREATE EXTENSION " + extension)
        connection.execute("SELECT pg_create_logical_replication_slot('probe', 'wal2json', true)")
        connection.execute("SELECT * FROM pg_logical_slot_peek_changes('probe', NULL, NULL)")
    socket_dsn = f"host={other.postgres_socket} port={other.postgres_port} user={other.postgres_user} dbname=postgres"
    with psycopg.connect(socket_dsn) as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)


def test_it_comes_back_after_kill_9_and_mounts_nothing(other: Stack) -> None:
    """Its data stays; no mount is made, so none is left behind."""
    with psycopg.connect(other.postgres_dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    mounts = Path("/proc/self/mounts").read_text()
    other.kill("postgres")
    assert not other.running("postgres")
    other.start("postgres")
    with psycopg.connect(other.postgres_dsn()) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    assert Path("/proc/self/mounts").read_text() == mounts
    assert str(other.folder) not in mounts


def test_a_folder_keeps_its_major(other: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started with another, it says so; started with none, it is the one it was made with."""
    with pytest.raises(StackError, match=r"made with PostgreSQL 17, .* no use to 15: .*DEV_STACK_DIR.*wipe"):
        Stack(other.folder, other.cache, 15).start("postgres")
    same = Stack(other.folder, other.cache)
    same.start("postgres")
    assert same.pid("postgres") == other.pid("postgres")
    monkeypatch.setenv("DEV_POSTGRES_MAJOR", "11")
    with pytest.raises(StackError, match="DEV_POSTGRES_MAJOR=11: there are 10, 12, 13, 14, 15, 16, 17, 18"):
        Stack.load()


def test_it_runs_in_its_tree(other: Stack) -> None:
    """Fetched whole into the cache, copied into the stack, and nothing of it installed."""
    assert (postgres_tree(other.cache, MAJOR) / "packages").exists()
    binary = Path(f"/proc/{other.pid('postgres')}/exe").readlink()
    assert binary.is_relative_to(other.postgres_socket.parent)


@pytest.mark.parametrize(
    ("programs", "told"),
    [
        ({}, "there is no apt-get: PostgreSQL 13 comes as Debian's packages. Leave DEV_POSTGRES_MAJOR unset"),
        ({"apt-get": "exit 0", "dpkg-deb": ""}, "this machine's apt knows no Debian"),
        (
            {
                "apt-get": 'case "$*" in indextargets*) echo bookworm x;; *) echo E: refused; exit 1;; esac',
                "dpkg-deb": "",
            },
            "E: refused\nthe suite bullseye is needed for PostgreSQL 13. Leave DEV_POSTGRES_MAJOR unset",
        ),
    ],
)
def test_what_cannot_be_fetched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: dict[str, str], told: str
) -> None:
    """No Debian, another Debian, a suite that is refused."""
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"VERSION_CODENAME": "bookworm"})
    with pytest.raises(StackError) as error:
        unpack_postgres(tmp_path / "tree", 13)
    assert told in str(error.value)
    assert not (tmp_path / "tree").exists()


def test_the_table_tells_and_the_exit_code_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A major that cannot be had is a failure, and the table says why there are no figures."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DEV_STACK_DIR", str(tmp_path / "stack"))
    monkeypatch.setenv("DEV_CACHE_DIR", str(tmp_path / "cache"))
    assert matrix.main(["13", "--", "-x"]) == 1
    head, row = capsys.readouterr().out.strip().splitlines()
    assert head.split() == ["major", "PostgreSQL", "plugin", "passed", "failed", "skipped", "seconds"]
    assert row.split() == ["13", "-", "-", "0", "0", "0", "0", "the", "stack", "did", "not", "start"]
