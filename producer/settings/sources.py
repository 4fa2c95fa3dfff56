"""The sources of settings: files and the environment.

Room: settings (IO: files).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producer.errors import SettingsError
from producer.settings import patterns, transformations
from producer.settings.model import FIELDS
from producer.settings.references import properties

PREFIX = "PRODUCER_"
_DOCUMENT = {"name", "config", "tasks", "type", "initial_state"}
# What parts a list that was written as one text; elsewhere a comma.
_SEPARATORS = {"database.initial.statements": ";", "message.key.columns": ";"}
_EXPRESSIONS = (".include.list", ".exclude.list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A setting as somebody wrote it, its references not yet followed."""

    value: str
    origin: str
    """Where: a file, `--set`, or an environment variable's name."""
    connect: bool = False
    """From a Connect document: what Connect or Debezium know is no mistake."""


def read_file(path: Path) -> dict[str, Given]:
    """Read a settings file by its ending.

    Raises:
        SettingsError: unreadable or ill-formed, with the line where that is known.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        # Without the cause: it holds what was read.
        raise SettingsError(f"{path}: is not UTF-8", remedy="save the file as UTF-8") from None
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror}", remedy="check --config and the file's rights"
        ) from error
    connect = False
    try:
        if path.suffix == ".toml":
            values = _flat(tomllib.loads(text))
        elif path.suffix == ".json":
            values, connect = _json(text)
        elif path.suffix == ".properties":
            values = properties(text)
        else:
            raise SettingsError(f"{path}: unknown kind of file", remedy="use .toml, .json or .properties")
    except ValueError as error:
        # Without the cause: a parser's error may hold the whole text.
        raise SettingsError(f"{path}: {error}", remedy=f"mend the file: it must be {path.suffix[1:]}") from None
    return {key.strip(): Given(value=value, origin=str(path), connect=connect) for key, value in values.items()}


def _json(text: str) -> tuple[dict[str, str], bool]:
    document = json.loads(text, object_pairs_hook=_once)
    if not isinstance(document, dict):
        raise ValueError("the document is no object")  # noqa: TRY004 (told like the parser's own)
    config = document.get("config")
    if not isinstance(config, dict) or not document.keys() <= _DOCUMENT:
        return _flat(document), False
    values = _flat(config)
    name = document.get("name")
    if name is not None and values.setdefault("name", str(name)) != str(name):
        raise ValueError(f"the document's name is {name}, its config's name {values['name']}")
    return values, True


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{transformations.without_salt(key)} is given twice")
        found[key] = value
    return found


def _flat(table: Mapping[str, Any]) -> dict[str, str]:
    return _once(_leaves(table, ""))


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, str]]:
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, dict):
            yield from _leaves(value, f"{key}.")
        elif isinstance(value, list):
            yield key, _joined(key, value)
        elif value is not None:
            yield key, _plain(value)


def _joined(key: str, items: list[Any]) -> str:
    if any(isinstance(item, (list, dict)) for item in items):
        raise ValueError(f"{transformations.without_salt(key)}: a list may hold texts and numbers alone")
    separator = _SEPARATORS.get(key, ",")
    texts = [_plain(item) for item in items]
    if key == "database.initial.statements":
        texts = [text.replace(";", ";;") for text in texts]
    if key.endswith(_EXPRESSIONS):
        texts = [text.replace(",", "\\,") for text in texts]
    return separator.join(texts)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def from_environment(environ: Mapping[str, str]) -> tuple[dict[str, Given], list[str]]:
    """Settings by key, and the variables with our prefix that are none."""
    known = {variable_of(key): key for key in FIELDS}
    passed_on = {variable_of(prefix): prefix for prefix in patterns.PASSED_ON if prefix not in patterns.FREE_TEXT}
    found, unknown = {}, []
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        key = known.get(variable)
        if key is None:
            for start, prefix in passed_on.items():
                if variable.startswith(start) and len(variable) > len(start):
                    key = prefix + key_of(variable.removeprefix(start))
        if key is None:
            unknown.append(variable)
        else:
            found[key] = Given(value=value, origin=variable)
    return found, unknown


def variable_of(key: str) -> str:
    """The environment variable of a key."""
    return PREFIX + key.upper().replace(".", "_")


def key_of(variable: str) -> str:
    """A variable's name as the key that it would be."""
    return variable.removeprefix(PREFIX).lower().replace("_", ".")
