"""Settings from all sources, in their order, with every problem told at once.

Room: settings (IO: files, environment).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from producer.errors import NotSupportedYet, SettingsError
from producer.settings import patterns
from producer.settings.model import Settings
from producer.settings.sources import Given, read_file, resolve
from producer.settings.support import NOT_YET

_PREFIX = "PRODUCER_"
_CLOSE = 0.75
FIELDS: dict[str, str] = {field.alias: name for name, field in Settings.model_fields.items() if field.alias is not None}
_SECRET = {"database.password", "schema.registry.basic.auth.user.info"}
_SECRET_WORDS = ("password", "secret", "sasl.username", "sasl.jaas", "key.pem", "token")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Checked settings, and what is worth a warning."""

    settings: Settings
    warnings: tuple[str, ...]


def load_settings(
    config: Path | None,
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    need_prefix: bool = True,
) -> Loaded:
    """Defaults < file < environment < --set.

    Raises:
        SettingsError: with all problems, a line each; NotSupportedYet when that is all of them.
    """
    environment = os.environ if environ is None else environ
    problems: list[str] = []
    warnings: list[str] = []
    given, lenient = _given(config, sets, environment, problems, warnings)
    values = _collect(given, lenient, environment, problems, warnings)
    settings = _validate(values, given, problems)
    missing = [] if settings is None else _not_yet(settings, given)
    if need_prefix and not values.get("topic.prefix"):
        problems.append("topic.prefix: is required: what every topic's name begins with, e.g. shop")
    if problems or missing:
        kind = SettingsError if problems else NotSupportedYet
        lines = problems + missing
        head = lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} settings cannot work:", *lines])
        raise kind(head, remedy="correct them and start again; docs/settings.md lists every setting")
    assert settings is not None
    return Loaded(settings, tuple(warnings))


def asked_log_format(
    config: Path | None, sets: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Literal["text", "json"]:
    """How to tell of settings that cannot work: as `log.format` says, as far as it can be read."""
    try:
        given, _ = _given(config, sets, os.environ if environ is None else environ, [], [])
    except SettingsError:
        given = {}
    asked = given.get("log.format")
    return "json" if asked is not None and asked.value.strip().lower() == "json" else "text"


def _given(
    config: Path | None, sets: Sequence[str], environ: Mapping[str, str], problems: list[str], warnings: list[str]
) -> tuple[dict[str, Given], set[str]]:
    """What was written down, the later source over the earlier; and the keys of a Connect document."""
    given: dict[str, Given] = {}
    lenient: set[str] = set()
    if config is not None:
        document = read_file(config)
        given.update({key: Given(value, str(config)) for key, value in document.values.items()})
        if document.connect:
            lenient = set(document.values)
    given.update(_from_environment(environ, problems, warnings))
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals:
            problems.append(f"--set {text}: not of the form key=value")
        given[key.strip()] = Given(value, "--set")
    return given, lenient


def _from_environment(environ: Mapping[str, str], problems: list[str], warnings: list[str]) -> dict[str, Given]:
    known = {_PREFIX + key.upper().replace(".", "_"): key for key in FIELDS}
    passed_on = {_PREFIX + prefix.upper().replace(".", "_"): prefix for prefix in patterns.PASSED_ON}
    found = {}
    for variable, value in environ.items():
        if not variable.startswith(_PREFIX):
            continue
        key = known.get(variable)
        if key is None:
            for start, prefix in passed_on.items():
                if variable.startswith(start) and len(variable) > len(start):
                    key = prefix + variable[len(start) :].lower().replace("_", ".")
        if key is not None:
            found[key] = Given(value, variable)
            continue
        near = difflib.get_close_matches(variable, known, n=1, cutoff=_CLOSE)
        if near:
            problems.append(f"{variable}: unknown environment variable; did you mean {near[0]}?")
        else:
            warnings.append(f"{variable}: unknown environment variable, not used")
    return found


def _collect(
    given: Mapping[str, Given],
    lenient: set[str],
    environ: Mapping[str, str],
    problems: list[str],
    warnings: list[str],
) -> dict[str, Any]:
    """Known keys with their references resolved, pass-through keys in their maps."""
    values: dict[str, Any] = {}
    for key, one in given.items():
        try:
            value = resolve(one.value, environ)
        except ValueError as error:
            problems.append(f"{key}: {error} ({one.origin})")
            continue
        if key in FIELDS:
            values[key] = value
            continue
        prefix = next((prefix for prefix in patterns.PASSED_ON if key.startswith(prefix)), None)
        if prefix is not None:
            values.setdefault(patterns.PASSED_ON[prefix], {})[key[len(prefix) :]] = value
        elif patterns.COLUMN_KEYS.fullmatch(key):
            values.setdefault("column_transformations", {})[key] = value
        else:
            near = difflib.get_close_matches(key, FIELDS, n=1, cutoff=_CLOSE)
            hint = f"; did you mean {near[0]}?" if near else ""
            if key in lenient and one.origin != "--set":
                warnings.append(f"{key}: has no meaning here, not used{hint}")
            else:
                problems.append(f"{key}: unknown setting ({one.origin}){hint}")
    for name, why in patterns.refused_overrides(values.get("producer_override", {}).items()):
        problems.append(f"producer.override.{name}: {why}")
    return values


def _validate(values: dict[str, Any], given: Mapping[str, Given], problems: list[str]) -> Settings | None:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        for one in error.errors(include_input=False, include_url=False, include_context=False):
            key = str(one["loc"][0]) if one["loc"] else "settings"
            words = one["msg"].removeprefix("Value error, ")
            shown = "" if key in _SECRET or key not in given else f" (it is {given[key].value!r}, {given[key].origin})"
            problems.append(f"{key}: {words}{shown}")
        return None


def _not_yet(settings: Settings, given: Mapping[str, Given]) -> list[str]:
    missing = []
    for key, (asks, words) in NOT_YET.items():
        if asks(getattr(settings, FIELDS[key])):
            origin = f" ({given[key].origin})" if key in given else ""
            missing.append(f"{key}: not supported yet: {words}{origin}")
    missing += [
        f"{key}: not supported yet: truncating, masking and hashing columns is not"
        for key in settings.column_transformations
    ]
    missing += [
        f"snapshot.select.statement.overrides.{table}: not supported yet"
        for table in settings.snapshot_select_statements
    ]
    return missing


def describe(settings: Settings) -> dict[str, str]:
    """Every setting in force by its dotted key, secrets masked."""
    shown = {}
    for key, field in FIELDS.items():
        value = getattr(settings, field)
        if key in _SECRET:
            shown[key] = "" if value is None else "********"
        else:
            shown[key] = _plain(value)
    for prefix, field in patterns.PASSED_ON.items():
        for name, value in getattr(settings, field).items():
            secret = any(word in name for word in _SECRET_WORDS)
            shown[prefix + name] = "********" if secret else value
    return shown


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, frozenset)):
        return ",".join(sorted(str(getattr(item, "pattern", item)) for item in value))
    return str(value)
