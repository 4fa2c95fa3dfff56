"""Settings from all sources, in their order, with every problem told at once.

Room: settings (IO: files, environment).
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from producer.errors import NotSupportedYet, SettingsError
from producer.settings import connect, patterns, support, transformations
from producer.settings.model import FIELDS, Settings
from producer.settings.references import resolve
from producer.settings.sources import Given, from_environment, key_of, read_file, variable_of
from producer.settings.values import Quoting

_CLOSE = 0.75
_PLATFORMS = ("auto", "generic", "cloud_sql", "rds", "aurora", "heroku", "azure", "supabase", "neon", "crunchy_bridge")
# What only a stream does.
_OF_THE_LOG = (
    "plugin.name", "slot.drop.on.stop", "slot.failover", "slot.max.retained.bytes", "slot.retention.action",
    "message.prefix.include.list", "provide.transaction.metadata", "heartbeat.interval.ms", "unchanged.toast.handling",
)  # fmt: skip


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
    return _Loading(os.environ if environ is None else environ).load(config, sets, need_prefix=need_prefix)


def asked_log_format(
    config: Path | None, sets: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> Literal["text", "json"]:
    """How to tell of settings that cannot work: as `log.format` says, as far as it can be read."""
    loading = _Loading(os.environ if environ is None else environ)
    with contextlib.suppress(SettingsError):
        loading.read_file(config)
    loading.read_environment()
    loading.read_sets(sets)
    asked = loading.given.get("log.format")
    try:
        text = resolve(asked.value, loading.environ) if asked is not None else ""
    except ValueError:
        text = ""
    return "json" if text.strip().lower() == "json" else "text"


@dataclass(slots=True)
class _Loading:
    """One loading: what was given, and what is to be said of it."""

    environ: Mapping[str, str]
    given: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def load(self, config: Path | None, sets: Sequence[str], *, need_prefix: bool) -> Loaded:
        self.read_file(config)
        self.read_environment()
        self.read_sets(sets)
        settings = self._validate(self._collect())
        wrong = any(line.startswith("topic.prefix: ") for line in self.problems)
        self.problems += [self._told(key, words) for key, words in settings.unmatched_overrides()]
        self.problems += [self._told(key, words) for key, words in support.contradictions(settings)]
        if need_prefix and not settings.topic_prefix and not wrong:
            self.problems.append("topic.prefix: is required: what every topic's name begins with, e.g. shop")
        missing = [self._told(key, f"not supported yet: {words}") for key, words in support.not_yet(settings)]
        if self.problems or missing:
            kind = SettingsError if self.problems else NotSupportedYet
            lines = self.problems + missing
            head = lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} settings cannot work:", *lines])
            raise kind(head, remedy="correct them and start again; docs/settings.md lists every setting")
        self._warn(settings)
        return Loaded(settings, tuple(self.warnings))

    def read_file(self, config: Path | None) -> None:
        if config is not None:
            self.given.update(read_file(config))

    def read_environment(self) -> None:
        found, unknown = from_environment(self.environ)
        self.given.update(found)
        for variable in unknown:
            key = key_of(variable)
            near = nearest(key, _CLOSE)
            if key.startswith(patterns.FREE_TEXT) or transformations.meant(key):
                safe = transformations.without_salt(key)
                shown = variable if safe == key else variable_of(safe)
                self.problems.append(f"{shown}: cannot come from the environment: write it in a file, or use --set")
            elif near:
                self.problems.append(f"{variable}: unknown environment variable; did you mean {variable_of(near)}?")
            else:
                self.warnings.append(f"{variable}: unknown environment variable, not used")

    def read_sets(self, sets: Sequence[str]) -> None:
        for number, text in enumerate(sets, 1):
            key, equals, value = text.partition("=")
            if equals and key.strip():
                self.given[key.strip()] = Given(value=value, origin="--set")
            else:
                # Its text may be a secret.
                self.problems.append(f"--set, the {number}. of them: not of the form key=value")

    def _collect(self) -> dict[str, Any]:
        """Known keys with their references resolved, pass-through keys in their maps."""
        values: dict[str, Any] = {}
        for key, one in self.given.items():
            prefix = next((prefix for prefix in patterns.PASSED_ON if key.startswith(prefix) and key != prefix), None)
            if key not in FIELDS and prefix is None and not transformations.is_key(key):
                self._unknown(key, one)
                continue
            try:
                value = resolve(one.value, self.environ)
            except ValueError as error:
                self._wrong(key, str(error))
                continue
            if key in FIELDS:
                values[key] = value
            elif prefix is not None:
                values.setdefault(patterns.PASSED_ON[prefix], {})[key.removeprefix(prefix)] = value
            else:
                self._transformation(key, one.value, value, values)
        for prefix in patterns.CLIENTS:
            for key, why in patterns.refused_overrides(prefix, values.get(patterns.PASSED_ON[prefix], {})):
                self._wrong(key, why)
        return values

    def _transformation(self, key: str, raw: str, value: str, values: dict[str, Any]) -> None:
        try:
            transformations.transformation(key, value)
        except ValueError as error:
            by_reference = raw != value and isinstance(error, Quoting)
            self._wrong(key, "what it refers to cannot be used here" if by_reference else str(error))
        else:
            values.setdefault("column_transformations", {})[key] = value

    def _unknown(self, key: str, one: Given) -> None:
        near = connect.now_called(key) or transformations.meant(key) or nearest(key, _CLOSE)
        if one.connect and connect.known(key):
            self.warnings.append(self._told(key, connect.meaning(key)))
        elif near:
            self._wrong(key, "unknown setting", f"did you mean {near}?")
        elif connect.known(key):
            self._wrong(key, "unknown setting", "Connect's or Debezium's, without a meaning here")
        else:
            self._wrong(key, "unknown setting", f"the nearest is {nearest(key, 0)}")

    def _wrong(self, key: str, words: str, hint: str = "") -> None:
        self.problems.append(self._told(key, words) + (f"; {hint}" if hint else ""))

    def _told(self, key: str, words: str) -> str:
        """A key, what is to be said of it, and where it was given."""
        origin = f" ({self.given[key].origin})" if key in self.given else ""
        return f"{transformations.without_salt(key)}: {words}{origin}"

    def _validate(self, values: dict[str, Any]) -> Settings:
        """The settings; without those that are wrong, so that what is left can be judged too."""
        wrong = set()
        try:
            return Settings.model_validate(values)
        except ValidationError as error:
            for one in error.errors(include_input=False, include_url=False):
                key = str(one["loc"][0])
                wrong.add(key)
                self._wrong(key, self._complaint(key, values[key], one))
        return Settings.model_validate({key: value for key, value in values.items() if key not in wrong})

    def _complaint(self, key: str, value: object, error: Any) -> str:
        """What is wrong; the value as it was written, but nothing that is secret or that a reference brought."""
        words = str(error["msg"]).removeprefix("Value error, ")
        raw = self.given[key].value
        if patterns.is_secret(key) or "@" in raw:
            return words
        if raw != value and isinstance(error.get("ctx", {}).get("error"), Quoting):
            words = "what it refers to cannot be used here"
        return f"{words}; it is {raw!r}"

    def _warn(self, settings: Settings) -> None:
        for key in ("publication.name", "publication.autocreate.mode"):
            if key in self.given and settings.plugin_name == "wal2json":
                self.warnings.append(self._told(key, "has no effect with plugin.name=wal2json"))
        for key in _OF_THE_LOG:
            if key in self.given and settings.replication_method == "FULL_TABLE":
                self.warnings.append(self._told(key, "has no effect with replication.method=FULL_TABLE"))
        if settings.hosting_platform not in _PLATFORMS:
            known = ", ".join(_PLATFORMS)
            self.warnings.append(self._told("hosting.platform", f"taken as generic: known are {known}"))


def nearest(key: str, closeness: float) -> str | None:
    """The known key that is most like this one."""
    key = key.lower()
    candidates = [*FIELDS]
    for prefix in patterns.PASSED_ON:
        rest = key.split(".")[prefix.count(".") :]
        if rest:
            candidates.append(prefix + ".".join(rest))
    return next(iter(difflib.get_close_matches(key, candidates, n=1, cutoff=closeness)), None)
