"""References: `${env:…}`, `${file:…}`, and Java's properties that the latter reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.settings.references import properties, resolve


def test_references_are_put_in(tmp_path: Path) -> None:
    """Anywhere in a value, any number of them; what they bring is taken as it is."""
    file = tmp_path / "secrets.properties"
    file.write_text("db.password = s\\u0065cret\nodd=${env:WHO}\n")
    assert resolve(f"a${{env:WHO}}-${{file:{file}:db.password}}", {"WHO": "me"}) == "ame-secret"
    assert resolve(f"${{file:{file}:odd}}", {}) == "${env:WHO}"
    assert resolve("${other:x} $x ^a$", {}) == "${other:x} $x ^a$"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("${env:NOBODY}", "NOBODY, which is not set"),
        ("${file:/nowhere/x.properties:k}", "the file /nowhere/x.properties, which cannot be read"),
        ("${file:/nowhere}", "not of the form /path:key"),
        ("${file:FILE:gone}", "the key gone of the file"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, value: str, words: str) -> None:
    file = tmp_path / "a.properties"
    file.write_text("here=hunter2")
    with pytest.raises(ValueError, match="refers to") as caught:
        resolve(value.replace("FILE", str(file)), {})
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_of_bytes_is_refused_without_them(tmp_path: Path) -> None:
    file = tmp_path / "a.properties"
    file.write_bytes(b"a=\xff")
    with pytest.raises(ValueError, match="not UTF-8") as caught:
        resolve(f"${{file:{file}:a}}", {})
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=1\r\nb : 2\rc 3", {"a": "1", "b": "2", "c": "3"}),
        ("a = 1 ", {"a": "1 "}),
        ("a\\ b\\=c=\\ d", {"a b=c": " d"}),
        ("# c \\\na=1", {"a": "1"}),
        ("a=1\\\n   2\\\n\t3\nb=4\\\\\nc=5", {"a": "123", "b": "4\\", "c": "5"}),
        ("a=x\\", {"a": "x"}),
        ("a", {"a": ""}),
        ("a==b", {"a": "=b"}),
        ("a=\\t\\n\\q", {"a": "\t\nq"}),
        ("a=\\u00e9\\uD83D\\uDE00", {"a": "é😀"}),
        ("a=x\u2028y", {"a": "x\u2028y"}),
        ("a=1\na=2", {"a": "2"}),
    ],
)
def test_javas_properties(text: str, found: dict[str, str]) -> None:
    assert properties(text) == found


@pytest.mark.parametrize("value", ["\\u12", "\\uzzzz", "\\uD83D"])
def test_an_ill_formed_escape_names_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="line 3"):
        properties(f"# c\na=1\nb={value}")
