"""The Avro converter beside this, compiled into a plugin of Kafka Connect."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from dev.fetch import kafka_libs
from dev.install import install
from dev.java import KAFKA_JAVA, find_javac
from dev.shell import StackError, run

CONVERTER = "bench.connect.AvroConverter"
_SOURCES = Path(__file__).parent / "avro"
_MANIFEST = "META-INF/services/org.apache.kafka.connect.storage.Converter"


def build(cache: Path, plugins: Path) -> None:
    """Compile it into a folder that Connect looks for plugins in.

    Raises:
        StackError: there is no compiler, or it refused.
    """
    install(("javac",))
    compiler = find_javac(KAFKA_JAVA)
    if compiler is None:
        raise StackError(f"no javac {KAFKA_JAVA} or newer: install a JDK, or set JAVA_HOME to one")
    jar = plugins / "avro" / "converter.jar"
    jar.parent.mkdir(parents=True, exist_ok=True)
    sources = [str(source) for source in sorted(_SOURCES.glob("*.java"))]
    with tempfile.TemporaryDirectory() as folder:
        classes = Path(folder)
        release = ["--release", str(KAFKA_JAVA), "-proc:none"]
        run([str(compiler), *release, "-cp", f"{kafka_libs(cache)}/*", "-d", folder, *sources])
        with zipfile.ZipFile(jar, "w") as archive:
            for file in sorted(classes.rglob("*.class")):
                archive.write(file, file.relative_to(classes))
            archive.writestr(_MANIFEST, CONVERTER + "\n")
