"""Somebody who reads a page and does what it says: a folder, a server, `pg-producer` and `psql` at hand.

What is written `shop` (database), `producer` (role), `producer_shop` (slot) is so here: the PostgreSQL is a
private one. Hosts and ports are the local stack's: `SUBSTITUTIONS` in the text, and settings behind the command's own
(`tests/docs/shim.py`); the topics' prefix is the test's own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql

from dev.ports import free_ports
from dev.stack import Stack
from producer.settings import load_settings
from tests.docs import shim
from tests.docs.blocks import ROOT, Block

DATABASE = "shop"
ROLE = "producer"
PASSWORD = "demo"
_SECONDS = 60


class Reader:
    """Of one page."""

    def __init__(self, folder: Path, servers: Stack, postgres: Stack, prefix: str) -> None:
        self.folder = folder
        self._postgres = postgres
        self._altered: set[str] = set()
        """The server's own settings."""
        http = free_ports(("http",))["http"]
        self._substitutions = {
            # The address of `http.listen` in the pages; nobody's fixed port is free on every machine.
            "127.0.0.1:8083": f"127.0.0.1:{http}",
        }
        sets = {
            "database.hostname": postgres.postgres_host,
            "database.port": postgres.postgres_port,
            "bootstrap.servers": servers.bootstrap_servers,
            "schema.registry.url": servers.registry_url,
            "topic.prefix": prefix,
        }
        programs = folder / ".bin"
        programs.mkdir()
        wrapper = programs / "pg-producer"
        wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {shlex.quote(shim.__file__)} "$@"\n')
        wrapper.chmod(0o755)
        (programs / "psql").write_text(_PSQL)
        (programs / "psql").chmod(0o755)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PRODUCER_")}
        self.environment = {
            **clean,
            "PATH": f"{programs}:{clean['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PGHOST": postgres.postgres_host,
            "PGPORT": str(postgres.postgres_port),
            "PGUSER": postgres.postgres_user,
            "PGPASSWORD": postgres.postgres_password,
            "PGDATABASE": DATABASE,
            "PRODUCER_DATABASE_USER": ROLE,
            "PRODUCER_DATABASE_PASSWORD": PASSWORD,
            "SHOP_PASSWORD": PASSWORD,
            "DOCS_SETS": "\n".join(f"{key}={value}" for key, value in sets.items()),
            "DOCS_PREFIX": f"{DATABASE} {prefix}",
        }

    def begin(self) -> None:
        """The demo's shop, and nothing else, on the server."""
        with psycopg.connect(self._postgres.postgres_dsn(), autocommit=True) as admin:
            self._altered = altered(admin)
        self._clean()
        self._psql(f"CREATE DATABASE {DATABASE}", "postgres")
        with (ROOT / "dev/docker/shop.sql").open() as script:
            self._run(["psql", "-q"], stdin=script.read())

    def end(self) -> None:
        """Nothing of it is left; what ran in the background ended orderly."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            code = shim.stop()
        finally:
            os.chdir(before)
            self._clean()
        assert code in (None, 0), (self.folder / ".running.log").read_text()

    def follow(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            AssertionError: it does not work as it stands on the page.
        """
        if block.first:
            self._psql(block.first)
        match block.kind:
            case "sh":
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", self._here(block.text)], cwd=self.folder, env=self.environment,
                    text=True, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL,
                )  # fmt: skip
                assert done.returncode == block.exit_code, (
                    f"{block.where}: exit {done.returncode}, not {block.exit_code}\n{done.stdout}{done.stderr}"
                )
            case "sql":
                done = self._run(["psql", "-v", "ON_ERROR_STOP=1"], stdin=self._here(block.text), check=False)
                assert done.returncode == 0, f"{block.where}: {done.stderr}"
            case "yaml":
                list(yaml.safe_load_all(block.text))
                self._keep(block)
            case _:
                self._settings(block)

    def _settings(self, block: Block) -> None:
        """A file of settings: every line is understood."""
        file = self._keep(block)
        named = dict.fromkeys(re.findall(r"\$\{env:(\w+)\}", block.text), "x")
        loaded = load_settings(file, (), {**named, "PRODUCER_TOPIC_PREFIX": DATABASE}, need_prefix=False)
        assert not loaded.warnings, f"{block.where}: {loaded.warnings}"

    def _keep(self, block: Block) -> Path:
        file = self.folder / (block.file or f"block-{block.line}.{block.kind}")
        file.write_text(self._here(block.text))
        return file

    def _here(self, text: str) -> str:
        for written, meant in self._substitutions.items():
            text = text.replace(written, meant)
        return text

    def _run(
        self, argv: list[str], *, stdin: str, check: bool = True, database: str = DATABASE
    ) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, "PGDATABASE": database}
        return subprocess.run(
            argv, cwd=self.folder, env=environment, input=stdin, text=True, capture_output=True, timeout=_SECONDS,
            check=check,
        )  # fmt: skip

    def _psql(self, statement: str, database: str = DATABASE) -> None:
        self._run(["psql", "-v", "ON_ERROR_STOP=1", "-c", statement], stdin="", database=database)

    def _clean(self) -> None:
        """Slots, databases, roles and settings that pages made."""
        with psycopg.connect(self._postgres.postgres_dsn(), autocommit=True) as admin:
            for name in altered(admin) - self._altered:
                admin.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
            admin.execute("SELECT pg_reload_conf()")
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type IN ('client backend', 'walsender')"
            )
            admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
            for (database,) in admin.execute("SELECT datname FROM pg_database WHERE oid >= 16384").fetchall():
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
            for (role,) in admin.execute(
                "SELECT rolname FROM pg_roles WHERE oid >= 16384 AND rolname !~ '^pg_'"
            ).fetchall():
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def altered(admin: psycopg.Connection[Any]) -> set[str]:
    """The names of what ALTER SYSTEM has set."""
    rows = admin.execute("SELECT name FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.auto.conf'").fetchall()
    return {str(name) for (name,) in rows}


# The server that is meant, whatever host a page names.
_PSQL = """#!/bin/bash
words=()
while [ $# -gt 0 ]; do
    case "$1" in
        -h|--host|-p|--port) shift ;;
        -U) shift ;;
        *) words+=("$1") ;;
    esac
    shift
done
PATH="${PATH#*:}" exec psql -X "${words[@]}"
"""
