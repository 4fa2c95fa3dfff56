"""Fetching Kafka and the registry from Maven's registry, once, into a cache folder.

Room: dev (IO).
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from dev.install import StackError, java, run, say

KAFKA_VERSION = "4.3.1"
APICURIO_VERSION = "3.3.3"

_POM = f"""<project><modelVersion>4.0.0</modelVersion>
<groupId>dev</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies>
 <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version></dependency>
 <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{KAFKA_VERSION}</version></dependency>
 <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
</dependencies></project>
"""


def fetch(cache: Path) -> None:
    """Bring what is missing; a folder appears only when it is complete."""
    cache.mkdir(parents=True, exist_ok=True)
    _once(kafka_libs(cache), _kafka)
    _once(registry_home(cache), _registry)


def kafka_libs(cache: Path) -> Path:
    """The folder of Kafka's jars."""
    return cache / f"kafka-{KAFKA_VERSION}"


def registry_home(cache: Path) -> Path:
    """The registry's unpacked folder."""
    return cache / f"apicurio-{APICURIO_VERSION}"


def class_archive(cache: Path) -> Path:
    """Kafka's AppCDS archive: halves the time that it takes to start."""
    return cache / f"kafka-{KAFKA_VERSION}.jsa"


def _once(target: Path, build: Callable[[Path], None]) -> None:
    if target.exists():
        return
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as folder:
        unfinished = Path(folder) / target.name
        unfinished.mkdir()
        build(unfinished)
        unfinished.rename(target)


def _kafka(target: Path) -> None:
    say(f"fetching Kafka {KAFKA_VERSION}")
    pom = target.parent / "pom.xml"
    pom.write_text(_POM)
    run(
        ["mvn", "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime",
         f"-DoutputDirectory={target}"]
    )  # fmt: skip
    if not list(target.glob("kafka_2.13-*.jar")):
        raise StackError("Maven brought no Kafka: look at `mvn dependency:get` by hand")
    java()


def _registry(target: Path) -> None:
    say(f"fetching Apicurio Registry {APICURIO_VERSION}")
    artifact = f"io.apicurio:apicurio-registry-app:{APICURIO_VERSION}:tar.gz:all"
    run(["mvn", "-B", "-q", "dependency:get", f"-Dartifact={artifact}", "-Dtransitive=false"])
    run(
        ["mvn", "-B", "-q", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={target.parent}"]
    )
    archive = next(target.parent.glob("apicurio-registry-app-*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    if not list(target.rglob("quarkus-run.jar")):
        raise StackError("the registry's archive holds no quarkus-run.jar")


def wipe(folder: Path) -> None:
    """Remove a folder and what is in it."""
    shutil.rmtree(folder, ignore_errors=True)
