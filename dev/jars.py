"""PostgreSQL of a server jar: majors that no Debian suite has, built for tests of Java programs, without wal2json.

Room: dev (IO). Artifact io.zonky.test.postgres:embedded-postgres-binaries-linux-*: initdb, postgres and the server's
own extensions in an archive; the libraries that they need beside them.
"""

from __future__ import annotations

import platform
import tarfile
import zipfile
from pathlib import Path

from dev.maven import copy_artifact
from dev.shell import StackError, say

JARS = {10: "10.23.0", 12: "12.22.0", 14: "14.24.0", 16: "16.15.0"}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64v8"}


def unpack_jar(tree: Path, major: int) -> None:
    """Fetch the jar of a major by Maven, and unpack its server into a new folder.

    Raises:
        StackError: Maven failed, or there is none for this machine.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise StackError(f"PostgreSQL {major} comes for {', '.join(_MACHINES)}, not for {platform.machine()}")
    say(f"fetching PostgreSQL {major} by Maven (15 MB)")
    copy_artifact(f"io.zonky.test.postgres:embedded-postgres-binaries-linux-{machine}:{JARS[major]}", tree.parent)
    with zipfile.ZipFile(next(tree.parent.glob("embedded-postgres-binaries-*.jar"))) as jar:
        archive = next((name for name in jar.namelist() if name.endswith(".txz")), None)
        if archive is None:
            raise StackError(f"the jar of PostgreSQL {JARS[major]} holds no archive: another layout?")
        with jar.open(archive) as file, tarfile.open(fileobj=file, mode="r:xz") as tar:
            tar.extractall(tree, filter="data")
    if not (tree / "bin" / "postgres").exists():
        raise StackError(f"the jar of PostgreSQL {JARS[major]} brought no bin/postgres: another layout?")
