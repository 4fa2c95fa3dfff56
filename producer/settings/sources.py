"""Where settings come from: files, the environment, --set; and what they refer to.

Room: settings (IO: files, environment). Kafka Connect, "ConfigProvider".
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producer.errors import SettingsError

_REFERENCE = re.compile(r"\$\{(env|file):([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Given:
    """A setting as somebody wrote it."""

    value: str
    origin: str
    """Where: a file, `--set`, or an environment variable's name."""


@dataclass(frozen=True, slots=True)
class Document:
    """A settings file's content."""

    values: dict[str, str]
    connect: bool
    """A Connect document: unknown properties are warnings, as in Connect's REST interface."""


def read_file(path: Path) -> Document:
    """Read a settings file by its ending.

    Raises:
        SettingsError: unreadable or ill-formed, with the line where that is known.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path}: cannot be read: {error}", remedy="check --config and the file's rights"
        ) from error
    try:
        if path.suffix == ".toml":
            return Document(dict(_flat(tomllib.loads(text))), connect=False)
        if path.suffix == ".json":
            return _json_document(text)
        if path.suffix == ".properties":
            return Document(properties(text), connect=False)
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise SettingsError(f"{path}: {error}", remedy=f"mend the file: it must be {path.suffix[1:]}") from error
    raise SettingsError(f"{path}: unknown kind of file", remedy="use .toml, .json or .properties")


def _json_document(text: str) -> Document:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("the document is no object")  # noqa: TRY004 (told like the parser's own)
    if isinstance(document.get("config"), dict):
        values = dict(_flat(document["config"]))
        if "name" in document:
            values.setdefault("name", str(document["name"]))
        return Document(values, connect=True)
    return Document(dict(_flat(document)), connect=False)


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found.append((prefix + key, ",".join(str(item) for item in value)))
        elif value is not None:
            found.append((prefix + key, str(value).lower() if isinstance(value, bool) else str(value)))
    return found


_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def properties(text: str) -> dict[str, str]:
    """Java's .properties: comments, continued lines, escapes; the first =, : or blank ends the key."""
    values = {}
    logical = re.sub(r"(?<!\\)((?:\\\\)*)\\\r?\n[ \t\f]*", r"\1", text)
    for line in logical.splitlines():
        stripped = line.lstrip(" \t\f")
        if not stripped or stripped[0] in "#!":
            continue
        found = re.match(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", stripped)
        if found:
            values[_unescape(found.group(1))] = _unescape(found.group(2))
    return values


def _unescape(text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        if found.group(1):
            return chr(int(found.group(1), 16))
        return _ESCAPES.get(found.group(2), found.group(2))

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", replace, text)


def resolve(value: str, environ: Mapping[str, str]) -> str:
    """Put in what `${env:NAME}` and `${file:/path:key}` refer to.

    Raises:
        ValueError: there is no such variable, file or key.
    """

    def replace(found: re.Match[str]) -> str:
        kind, what = found.groups()
        if kind == "env":
            if what not in environ:
                raise ValueError(f"refers to the environment variable {what}, which is not set")
            return environ[what]
        path, _, key = what.rpartition(":")
        try:
            values = properties(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"refers to the file {path or what!r}, which cannot be read: {error}") from error
        if key not in values:
            raise ValueError(f"refers to the key {key} of the file {path}, which is not there")
        return values[key]

    return _REFERENCE.sub(replace, value)
