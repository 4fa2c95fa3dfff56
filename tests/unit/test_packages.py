"""The wheel holds every package: they are listed by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_package_is_listed() -> None:
    """One that is not would be missing from `pip install` only."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in (ROOT / "producer").rglob("__init__.py")}
    there = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(listed) == there | {"producer.schemas"}
