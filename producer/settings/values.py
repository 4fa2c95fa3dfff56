"""What a setting's text may be: types with their syntax, ranges and enumerations.

Room: settings (pure). Debezium's PostgreSQL connector, "Connector configuration properties".
"""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

Filter = tuple[re.Pattern[str], ...]


class Quoting(ValueError):
    """A complaint that repeats a part of the value: not to be shown when that came by a reference."""


_PARTS = re.compile(r"((?:\\.|[^,\\]|\\$)*)(?:,|$)", re.DOTALL)


def compile_list(text: str) -> Filter:
    """Comma-separated, anchored, case-insensitive expressions; a comma may be escaped."""
    parts = [part.strip().replace("\\,", ",") for part in _PARTS.findall(text)]
    return tuple(_compiled(part) for part in parts if part)


def _compiled(text: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            # Java reads a set inside a set otherwise than Python: better refused than matched differently.
            warnings.simplefilter("error", FutureWarning)
            return re.compile(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise Quoting(f"{text!r} is no regular expression: {error}") from error


def names(text: str) -> tuple[str, ...]:
    """Comma-separated names; a comma may be escaped."""
    parts = (part.strip().replace("\\,", ",") for part in _PARTS.findall(text))
    return tuple(part for part in parts if part)


def matches(expressions: Filter, name: str) -> bool:
    """True when one of them matches the whole name."""
    return any(expression.fullmatch(name) for expression in expressions)


_COLUMNS_OF = re.compile(r"[^:;]+:[^:;,]+(,[^:;,]+)*")


def key_columns(text: str) -> dict[str, tuple[str, ...]]:
    """`schema.table:col1,col2;…` by table."""
    found: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        table, _, columns = (side.strip() for side in part.partition(":"))
        names = tuple(column.strip() for column in columns.split(","))
        if not _COLUMNS_OF.fullmatch(part) or not table or not all(names):
            raise Quoting(f"{part!r} is not of the form schema.table:column1,column2")
        if table in found:
            raise Quoting(f"{table!r} is named twice")
        _compiled(table)
        found[table] = names
    return found


def _boolean(value: Any) -> Any:
    """Connect's booleans: true and false, nothing else."""
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _upper(value: Any) -> Any:
    return value.strip().upper() if isinstance(value, str) else value


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _filter(value: Any) -> Any:
    return compile_list(value) if isinstance(value, str) else value


def _key_columns(value: str) -> str:
    key_columns(value)
    return value


def _statements(value: Any) -> Any:
    """Semicolon-separated; two of them are one that is part of a statement."""
    if not isinstance(value, str):
        return value
    parts = re.split(r"(?<!;);(?!;)", value)
    return tuple(part.replace(";;", ";").strip() for part in parts if part.strip())


def _operations(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    names = {name.strip().lower() for name in value.split(",") if name.strip()}
    if not names <= set("cudt") and names != {"none"}:
        raise ValueError("must be none, or a list of c, u, d, t")
    if names == set("cudt"):
        raise ValueError("skips every operation: nothing would be left to stream")
    return frozenset(names - {"none"})


_PORT_MAX = 65535
_IDENTIFIER_BYTES = 63
_SERVER = re.compile(r"(?:\w+://)?(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\],]+)(?::(\d{1,5}))?")
_LISTEN = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\],]*):(\d{1,5})")


def _port_of(found: re.Match[str] | None) -> bool:
    return found is not None and (found.group(1) is None or 1 <= int(found.group(1)) <= _PORT_MAX)


def _list(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _servers(value: str) -> str:
    servers = _list(value)
    if not servers or not all(_port_of(_SERVER.fullmatch(server)) for server in servers):
        raise ValueError("must be host:port, several by comma, each port from 1 to 65535")
    return ",".join(servers)


def _host(value: str) -> str:
    """Python's resolver fails at such a name otherwise than at one that is not known. A path is a socket's."""
    try:
        for name in value.split(","):
            if not name.startswith(("/", "@")):
                name.encode("idna")
    except UnicodeError:
        raise ValueError("is no host's name: what stands between dots has 1 to 63 characters") from None
    return value


def _listen(value: str) -> str:
    found = _LISTEN.fullmatch(value)
    if value and (found is None or int(found.group(1)) > _PORT_MAX):
        raise ValueError("must be host:port or :port, the port up to 65535; 0: any that is free")
    _host(value.rpartition(":")[0])
    return value


def _user_info(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not all(value.get_secret_value().partition(":")):
        raise ValueError("must be user:password")
    return value


def _urls(value: str) -> str:
    urls = _list(value)
    for url in urls:
        try:
            parts = urlsplit(url)
            right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            right = False
        if not right:
            raise ValueError("must be http://host:port or https://host:port, several by comma")
        if "@" in parts.netloc:
            raise ValueError("must not hold user and password: give them as schema.registry.basic.auth.user.info")
    if not urls:
        raise ValueError("must not be empty")
    return ",".join(urls)


def _strategy(value: str) -> str:
    short = value.rpartition(".")[2]
    if short not in ("TopicNameStrategy", "RecordNameStrategy", "TopicRecordNameStrategy"):
        raise ValueError("must be TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy")
    return short


def _topic(value: str) -> str:
    if value and (not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value) or value in (".", "..")):
        raise ValueError("may hold up to 249 ASCII letters, digits, dots, underscores and hyphens")
    return value


def _slot(value: str) -> str:
    if value and not re.fullmatch(r"[a-z0-9_]{1,63}", value):
        raise ValueError("must be 1 to 63 lower-case letters, digits and underscores")
    return value


def _publication(value: str) -> str:
    if len(value.encode()) > _IDENTIFIER_BYTES or "\0" in value:
        raise ValueError(f"may hold up to {_IDENTIFIER_BYTES} bytes")
    return value


def _platform(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]+", value):
        raise ValueError("must be a word such as auto, generic, cloud_sql, rds, aurora, heroku")
    return value


def _one_or_default(value: int) -> int:
    if value == 0 or value < -1:
        raise ValueError("must be 1 or more, or -1 for the broker's default")
    return value


LOWER = BeforeValidator(_lower)
UPPER = BeforeValidator(_upper)
_STRIP = BeforeValidator(_stripped)

Flag = Annotated[bool, BeforeValidator(_boolean)]
Expressions = Annotated[Filter, BeforeValidator(_filter)]
Statements = Annotated[tuple[str, ...], BeforeValidator(_statements)]
Operations = Annotated[frozenset[str], BeforeValidator(_operations)]
Secret = SecretStr | None
UserInfo = Annotated[SecretStr | None, AfterValidator(_user_info)]
Port = Annotated[int, Field(ge=1, le=_PORT_MAX)]
Count = Annotated[int, Field(ge=1)]
Partitions = Annotated[int, Field(le=2_147_483_647), AfterValidator(_one_or_default)]
ReplicationFactor = Annotated[int, Field(le=32767), AfterValidator(_one_or_default)]
Digits = Annotated[int, Field(ge=0, le=18)]
Milliseconds = Annotated[int, Field(ge=0)]
MillisecondsOrForever = Annotated[int, Field(ge=-1)]
Text = Annotated[str, _STRIP, Field(min_length=1)]
Stripped = Annotated[str, _STRIP]
Host = Annotated[str, _STRIP, Field(min_length=1), AfterValidator(_host)]
Topic = Annotated[str, _STRIP, AfterValidator(_topic)]
Slot = Annotated[str, _STRIP, AfterValidator(_slot)]
Publication = Annotated[str, _STRIP, AfterValidator(_publication)]
Platform = Annotated[str, LOWER, AfterValidator(_platform)]
Servers = Annotated[str, AfterValidator(_servers)]
Urls = Annotated[str, AfterValidator(_urls)]
Listen = Annotated[str, _STRIP, AfterValidator(_listen)]
KeyColumns = Annotated[str, _STRIP, AfterValidator(_key_columns)]
Strategy = Annotated[str, _STRIP, AfterValidator(_strategy)]
# They may hold secrets (sasl.password): shown by `describe` alone.
Passed = Annotated[dict[str, str], Field(default_factory=dict)]


def setting(default: Any, key: str, words: str) -> Any:
    """A field with its dotted key and what it means."""
    return Field(default=default, alias=key, description=words)
