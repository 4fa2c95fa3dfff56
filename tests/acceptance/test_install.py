"""`pip install .`: what is built holds all that it needs, and works where no source tree is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from producer import __version__

ROOT = Path(__file__).resolve().parents[2]


def run(*argv: object, cwd: Path, code: int = 0) -> str:
    """What it prints. Quick to compile, not quick to run."""
    done = subprocess.run(
        [str(word) for word in argv], cwd=cwd, text=True, capture_output=True, timeout=350, check=False,
        env={**{k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PRODUCER_"))}, "CFLAGS": "-O0"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


# Half a minute of compiling; on a machine with other work, more.
@pytest.mark.timeout(400)
def test_a_source_archive_a_wheel_of_it_and_an_installation(tmp_path: Path) -> None:
    """Each module, each fixed schema, the compiled transcoder; the command runs in an environment of its own."""
    tree = tmp_path / "tree"
    for name in run(
        "git", "ls-files", "producer", "schemas", "setup.py", "pyproject.toml", "README.md", cwd=ROOT
    ).split():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", tmp_path, cwd=tree)
    with tarfile.open(tmp_path / f"pg_producer-{__version__}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / f"pg_producer-{__version__}"
    run(
        sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path,
        unpacked, cwd=tmp_path,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "producer").rglob("*.py")}
    schemas = {f"producer/schemas/{path.name}" for path in (ROOT / "schemas").glob("*.avsc")}
    assert modules | schemas | {"producer/py.typed"} <= names, "found by setup.py"
    compiled = {re.sub(r"\..*", "", name) for name in names if name.endswith(".so")}
    assert compiled == {str(path.relative_to(ROOT).with_suffix("")) for path in (ROOT / "producer").rglob("*.pxd")}

    own = tmp_path / "own"
    venv.create(own, with_pip=False)
    python = own / "bin" / "python"
    run(sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps", wheel, cwd=tmp_path)
    # What it depends on is what we have; a line in a .pth is a folder to look in, behind its own.
    (place,) = own.glob("lib/python*/site-packages")
    (place / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = own / "bin" / "pg-producer"
    assert run(command, "--version", cwd=tmp_path) == f"pg-producer {__version__} (transcoder compiled)\n"
    assert "Commands:" in run(command, cwd=tmp_path)
    where = "import producer, producer.pipeline.run; print(producer.__file__)"
    assert str(own) in run(python, "-c", where, cwd=tmp_path)
    checked = run(command, "check", "--set", "topic.prefix=p", "--set", "database.port=1", cwd=tmp_path, code=3)
    assert "FAILED" in checked
