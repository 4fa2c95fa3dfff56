"""Prose and code say the same; the house rules hold."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from producer.sink import verdicts
from producer.source import wire

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DESIGN = (ROOT / "docs" / "DESIGN.md").read_text()
MODULES = sorted((ROOT / "producer").rglob("*.py"))
BANNED = {"utils", "util", "common", "helpers", "misc", "base", "tools"}


def test_every_make_target_in_the_readme_is_one() -> None:
    """`make demo`, `make test`, …"""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [README, *(page.read_text() for page in (ROOT / "docs").glob("*.md"))]
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", "\n".join(pages), re.MULTILINE)) <= targets


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_room_it_is(path: Path) -> None:
    """Its docstring names the room and whether it is pure; it is short; its name is a noun of the domain."""
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring
    if path.name not in ("__init__.py", "__main__.py"):
        assert re.search(r"^Room: .*\((pure|IO)\b", docstring, re.MULTILINE), path
    assert len(text.splitlines()) <= 400
    assert path.stem not in BANNED


def test_the_file_map_names_what_is_there() -> None:
    """A stranger finds the room for a change from the map."""
    for name in re.findall(r"^\| `([a-z_/]+\.py)`", DESIGN, re.MULTILINE):
        assert (ROOT / "producer" / name).exists(), name
    for name in re.findall(r"^\| `([a-z_]+)/`", DESIGN, re.MULTILINE):
        assert (ROOT / "producer" / name).is_dir() or (ROOT / name).is_dir(), name


def test_the_topics_page_names_every_fixed_record() -> None:
    """Each topic's key and value."""
    page = (ROOT / "docs" / "topics.md").read_text()
    for file in (ROOT / "schemas").glob("*.avsc"):
        assert f"`{json.loads(file.read_text())['connect.name']}`" in page, file


def test_the_errors_page_names_what_is_tried_again_and_what_stops() -> None:
    """True to the code: every error of Kafka's that has a verdict, every class and code of PostgreSQL's."""
    page = (ROOT / "docs" / "errors.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith(("| PostgreSQL", "| Kafka", "| registry"))]
    again, stops = (set(re.findall(r"\w+", " ".join(row[column] for row in rows))) for column in (2, 3))
    assert again >= verdicts._PASSES
    assert stops >= verdicts._LOGIN | verdicts._RIGHTS | verdicts._UNKNOWN_TOPIC | verdicts._TOO_LARGE
    assert stops >= verdicts._REMEDIES.keys()
    assert again >= set(wire._PASSING)
    assert again | stops >= {code for codes, *_ in wire._RULES for code in codes}


def test_nothing_names_a_registry_host_or_a_path_of_a_machine() -> None:
    """The ordinary clients know where packages come from."""
    folders = ("producer", "dev", "tests", "docs", "schemas", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [ROOT / name for name in ("Makefile", "pyproject.toml", "setup.py", "Dockerfile", "docker-compose.yml")]
    # A host with a dot in its name is somebody's; the stack's are loopback, or one word in the compose file.
    hosts = re.compile(r"https?://(?!127\.0\.0\.1)(?:[^\s/@\"']*@)?[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b")
    places = [str(ROOT), f"{Path.home()}/"]
    for path in files:
        if path == Path(__file__) or path.suffix in (".so", ".c", ".pyc"):
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".svg":
            # Names of namespaces, which nobody calls.
            text = re.sub(r'<!DOCTYPE[^>]*>|xmlns(:\w+)?="[^"]*"', "", text)
        assert not hosts.search(text), path
        assert not any(place in text for place in places), path
