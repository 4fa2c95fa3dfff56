"""Fetching Kafka and the registry by Maven, another PostgreSQL by apt, once, into a cache folder.

Room: dev (IO).
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from dev.debian import postgres_tree, unpack_postgres
from dev.install import PG_MAJOR
from dev.shell import StackError, locked, run, say

KAFKA_VERSION = "4.3.1"
APICURIO_VERSION = "3.3.3"
LOG4J_VERSION = "2.25.4"

_UNFINISHED = ".unfinished-"
_KAFKA_ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
    # Kafka's own poms bring no logging backend.
    ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
)


def kafka_libs(cache: Path) -> Path:
    """The folder of Kafka's jars."""
    return cache / f"kafka-{KAFKA_VERSION}"


def registry_home(cache: Path) -> Path:
    """The registry's unpacked folder."""
    return cache / f"apicurio-{APICURIO_VERSION}"


def fetch(cache: Path, names: Collection[str], major: int = PG_MAJOR) -> None:
    """Bring what these servers lack.

    Raises:
        StackError: Maven or apt failed; with the end of its output.
    """
    if "postgres" in names and major != PG_MAJOR:
        once(postgres_tree(cache, major), lambda tree: unpack_postgres(tree, major))
    if "kafka" in names:
        once(kafka_libs(cache), _kafka)
    if "registry" in names:
        once(registry_home(cache), _registry)


def once(target: Path, build: Callable[[Path], None]) -> None:
    """Let `build` make a file or a folder in a place apart; it appears only when it is complete."""
    if target.exists():
        return
    with locked(target.parent / ".lock", seconds=900):
        if target.exists():
            return
        for leftover in target.parent.glob(f"{_UNFINISHED}*"):
            # Of a run that was killed: under the lock nobody else is at work here.
            shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=_UNFINISHED) as folder:
            unfinished = Path(folder) / target.name
            build(unfinished)
            unfinished.rename(target)


def _kafka(target: Path) -> None:
    say(f"fetching Kafka {KAFKA_VERSION}")
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version></dependency>\n"
        for group, artifact, version in _KAFKA_ARTIFACTS
    )
    pom = target.parent / "pom.xml"
    pom.write_text(
        "<project><modelVersion>4.0.0</modelVersion>\n"
        "<groupId>dev</groupId><artifactId>kafka</artifactId><version>1</version>\n"
        f"<dependencies>\n{dependencies}</dependencies></project>\n"
    )
    _maven("-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}")
    if not list(target.glob("kafka_2.13-*.jar")):
        raise StackError("Maven brought no Kafka: try `mvn dependency:get` by hand")


def _registry(target: Path) -> None:
    say(f"fetching Apicurio Registry {APICURIO_VERSION} (160 MB)")
    artifact = f"-Dartifact=io.apicurio:apicurio-registry-app:{APICURIO_VERSION}:tar.gz:all"
    _maven("dependency:get", artifact, "-Dtransitive=false")
    _maven("dependency:copy", artifact, f"-DoutputDirectory={target.parent}")
    archive = next(target.parent.glob("apicurio-registry-app-*.tar.gz"), None)
    if archive is None:
        raise StackError("Maven brought no registry: try `mvn dependency:get` by hand")
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    if not list(target.rglob("quarkus-run.jar")):
        raise StackError("the registry's archive holds no quarkus-run.jar: another version?")


def _maven(*arguments: str) -> None:
    run(["mvn", "-B", "-q", *arguments])
