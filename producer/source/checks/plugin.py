"""The right to replicate, and the plugin: tried with a temporary slot, which leaves nothing behind.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Streaming Replication Protocol"; wal2json's README, "Parameters".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus

from producer.errors import AccessDenied, PostgresUnavailable, ProducerError
from producer.events import Relation
from producer.findings import Finding, Name
from producer.source import plugins
from producer.source.platform import Platform
from producer.source.plugins import Allowed
from producer.source.wire import Connection, Server, connect_replication, explained

_WAIT = "3s"
_OLDER = "older than"
_REFUSED = "may not be used as an output plugin"
# Options of wal2json, and the release that brought each: nothing else tells its version.
_BROUGHT = (("numeric-data-types-as-string", "2.6"), ("include-empty-transaction", "2.7"))
Standing = Literal["usable", "absent", "refused"]
_MAY_REPLICATE = b"SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"


def allowance(version: int, plugin: str, found: Allowed, platform: Platform) -> Iterator[Finding]:
    """Whether the server lists the plugin."""
    if not found.allows(plugin):
        yield Finding.of("plugin allowed", plugins.refused(plugin, version, found, platform))
    elif found.hidden:
        yield Finding(
            name="plugin allowed", status="ok", detail="output_plugin_libraries is hidden from us: to try it tells"
        )
    elif found.libraries is None:
        yield Finding(name="plugin allowed", status="ok", detail="this server allows every plugin that is installed")
    else:
        yield Finding(name="plugin allowed", status="ok", detail=f"{plugin} is in output_plugin_libraries")


def walsender(
    connection: Connection, at: Server, platform: Platform, *, streams: bool
) -> tuple[Finding, Connection | None]:
    """Open a walsender session; the finding says why there is none. The caller closes it.

    `streams`: a producer of ours has one, which may be the last.
    """
    name: Name = "replication right"
    try:
        opened = connect_replication(at)
    except AccessDenied as error:
        row = connection.execute(_MAY_REPLICATE).fetchone()
        lacks = row is not None and not row[0] and "REPLICATION" in error.remedy
        remedy = platform.may_replicate(at.user) if lacks else error.remedy
        return Finding(name=name, status="failed", detail=error.message, remedy=remedy), None
    except ProducerError as error:
        if streams and isinstance(error, PostgresUnavailable):
            return Finding(name=name, status="ok", detail="our own running producer replicates"), None
        return Finding.of(name, error), None
    return Finding(name=name, status="ok", detail=f"{at.user} may replicate, and pg_hba.conf lets it in"), opened


def tried(walsender: Connection, at: Server, plugin: str, found: Allowed, platform: Platform) -> Iterator[Finding]:
    """Make a temporary slot with the plugin; ask wal2json for its release, which leaves the session in its stream."""
    name: Name = "plugin"
    installed = f"{plugin} is installed and allowed"
    try:
        with explained(at, f"trying the plugin {plugin}"):
            _probe(walsender, plugin)
    except PostgresUnavailable as error:
        yield Finding(name=name, status="warning", detail=f"not tried: {error.message}", remedy=error.remedy)
    except ProducerError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            # The plugin was loaded before that.
            unasked = ": its release was not asked for" if plugin == "wal2json" else ""
            yield Finding(
                name=name, status="ok", detail=f"{installed}; its slot would wait for open transactions{unasked}"
            )
        else:
            refused = _REFUSED in error.message
            remedy = plugins.allowing(plugin, found, platform) if refused else error.remedy
            instead = plugins.instead(plugin, walsender.info.server_version, found)
            yield Finding(name=name, status="failed", detail=error.message, remedy=remedy + instead)
    else:
        yield Finding(name=name, status="ok", detail=installed)
        if plugin == "wal2json":
            yield from _release(walsender)


def standing(walsender: Connection, plugin: str) -> Standing | None:
    """Of the other plugin, behind `tried`: the server loads it before it makes a slot. None: that does not tell."""
    try:
        with suppress(psycopg.errors.UndefinedObject):
            # It may have the last free place.
            walsender.execute(sql.SQL("DROP_REPLICATION_SLOT {}").format(_probe_name(walsender)))
        _probe(walsender, plugin)
    except psycopg.errors.UndefinedFile:
        return "absent"
    except psycopg.errors.LockNotAvailable:
        return "usable"
    except psycopg.Error as error:
        return "refused" if _REFUSED in str(error) else None
    return "usable"


def _probe(walsender: Connection, plugin: str) -> None:
    """Make a slot that is gone with its session, or is refused; it waits for open transactions, not for long."""
    walsender.execute(f"SET lock_timeout = '{_WAIT}'".encode())
    walsender.execute(
        sql.SQL("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL {} NOEXPORT_SNAPSHOT").format(
            _probe_name(walsender), sql.Identifier(plugin)
        )
    )


def _probe_name(walsender: Connection) -> sql.Identifier:
    return sql.Identifier(f"producer_probe_{walsender.info.backend_pid}")


def untried(plugin: str, *, streams: bool) -> Finding:
    """What keeps it from being tried is a line of its own; where a producer of ours `streams`, it works."""
    if streams:
        return Finding(name="plugin", status="ok", detail=f"{plugin} serves our own running producer")
    return Finding(
        name="plugin",
        status="warning",
        detail=f"{plugin} could not be tried: whether it is installed and allowed is not known yet",
        remedy="mend what has failed, or free a replication slot, then `pg-producer check` again",
    )


def _release(walsender: Connection) -> Iterator[Finding]:
    """What its options tell: START with all of them names the first that it does not know."""
    options = sql.SQL(", ").join(sql.SQL("{} '0'").format(sql.Identifier(option)) for option, _ in _BROUGHT)
    statement = sql.SQL("START_REPLICATION SLOT {} LOGICAL 0/0 ({})").format(_probe_name(walsender), options)
    result = walsender.pgconn.exec_(statement.as_bytes(walsender))
    unknown = [release for option, release in _BROUGHT if option.encode() in result.error_message]
    if unknown or result.status == ExecStatus.COPY_BOTH:
        told = {"2.6": f"{_OLDER} 2.6", "2.7": "2.6"}[unknown[0]] if unknown else "2.7 or newer"
        yield Finding(name="plugin version", status="ok", detail=f"wal2json is {told}")


def prints_nan(findings: Iterable[Finding]) -> bool | None:
    """Whether the wal2json that was tried knows NaN and Infinity; None: it was not tried."""
    told = [finding.detail for finding in findings if finding.name == "plugin version"]
    return not any(f"{_OLDER} 2.6" in detail for detail in told) if told else None


def losses(
    version: int, plugin: str, found: Allowed, prints_nan: bool | None, other: Standing | None
) -> Iterator[Finding]:
    """What each plugin loses on this server; `other` is how the one that is not ours stands there, if that is known."""
    for one in plugins.plugins(version, found, prints_nan=prints_nan):
        words = "; ".join(one.loses) or "nothing"
        if one.name == plugin:
            yield Finding(name="plugin loses", status="ok", detail=f"{one.name}: {words}")
            continue
        told = {
            "usable": f"{one.name} is installed and allowed too, and loses: {words}",
            "absent": f"{one.name} is not installed here",
            "refused": f"{one.name} is not allowed here",
            None: f"whether {one.name} could be used here was not tried; it loses: {words}",
        }[other if one.usable else "refused"]
        yield Finding(name="other plugin", status="ok", detail=told)


def hidden_numbers(relations: Iterable[Relation]) -> Iterator[Finding]:
    """The columns in which an old wal2json cannot print NaN and Infinity."""
    columns = [
        f"{relation.qualified_name}.{column.name}"
        for relation in relations
        for column in relation.columns
        if column.sent and column.type.kind == "base" and column.type.name in ("float4", "float8", "numeric")
    ]
    if columns:
        yield Finding(
            name="NaN and Infinity",
            status="warning",
            detail=f"wal2json is {_OLDER} 2.6 and prints them as null: a row with a null in one of these columns is "
            f"read again, as it is then: {', '.join(dict.fromkeys(columns))}",
            remedy="install wal2json 2.6 or newer",
        )
