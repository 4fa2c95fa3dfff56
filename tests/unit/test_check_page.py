"""docs/check.md has every line that `check` can print, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from producer.findings import Name

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_has_every_line() -> None:
    """By its name, once."""
    page = (ROOT / "docs" / "check.md").read_text()
    rows = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == set(get_args(Name))


def test_every_line_is_printed_somewhere() -> None:
    """A name that no code uses is a promise that nobody keeps."""
    code = "".join(path.read_text() for path in (ROOT / "producer").rglob("*.py") if path.name != "findings.py")
    unused = {name for name in get_args(Name) if f'"{name}"' not in code}
    assert not unused
