"""The output plugins: which a server allows, what each loses there, how one is allowed.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Logical Decoding Output Plugins", output_plugin_libraries (a
setting of the minor releases of August 2026).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import psycopg
from psycopg import sql

from producer.errors import ServerNotReady
from producer.source import platform as platforms
from producer.source.platform import GENERIC, Platform
from producer.source.wire import PGOUTPUT, Connection

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_ALLOWED = "output_plugin_libraries"
_PGOUTPUT_SINCE = 100000
_PGOUTPUT_TRUNCATE_SINCE = 110000
_PGOUTPUT_MESSAGES_SINCE = 140000
# The one place that says so.
INSTEAD = f"or {PGOUTPUT}: it is part of PostgreSQL, and this server allows it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What output_plugin_libraries says."""

    libraries: tuple[str, ...] | None
    """None: this server is older than the setting, and allows every plugin that is installed; or it is hidden."""
    hidden: bool = False
    """Only superusers and pg_read_all_settings see it: to try a plugin tells."""
    on_command_line: bool = False
    """It was given there, where ALTER SYSTEM has no effect."""

    def allows(self, plugin: str) -> bool:
        """Whether the plugin may be used, as far as we see."""
        return self.libraries is None or plugin in self.libraries


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One of ours, on this server."""

    name: str
    usable: bool
    """It is allowed; whether it is installed, only trying it tells."""
    loses: tuple[str, ...]
    """What the log holds and it does not tell, in words; empty: nothing."""


BY_DEFAULT = Allowed(libraries=("pgoutput", "test_decoding"))
"""What a server that knows the setting allows by itself."""


def allowed(connection: Connection) -> Allowed:
    """What the server allows."""
    row = connection.execute(
        b"SELECT setting, source FROM pg_catalog.pg_settings WHERE name = 'output_plugin_libraries'"
    ).fetchone()
    if row is None:
        try:
            connection.execute(b"SELECT current_setting('output_plugin_libraries', true)")
        except psycopg.errors.InsufficientPrivilege:
            return Allowed(libraries=None, hidden=True)
        return Allowed(libraries=None)
    names = (name.strip().strip('"') for name in str(row[0]).split(","))
    return Allowed(libraries=tuple(filter(None, names)), on_command_line=row[1] == "command line")


def plugins(version: int, found: Allowed, *, prints_nan: bool | None = None) -> list[Plugin]:
    """Both plugins on a server of this version; `prints_nan`: whether its wal2json was found to be 2.6 or newer."""
    of_wal2json = ["UPDATEs and DELETEs of a table without replica identity, with a notice"]
    if prints_nan is not True:
        unless = "" if prints_nan is False else " (before wal2json 2.6)"
        of_wal2json.append(f"NaN and Infinity, printed as null{unless}: such a row is read again, as it is then")
    of_pgoutput = []
    if version < _PGOUTPUT_TRUNCATE_SINCE:
        of_pgoutput.append("TRUNCATE (from PostgreSQL 11 on it has it)")
    if version < _PGOUTPUT_MESSAGES_SINCE:
        of_pgoutput.append("logical messages (from PostgreSQL 14 on it has them)")
    return [
        Plugin(name="wal2json", usable=found.allows("wal2json"), loses=tuple(of_wal2json)),
        Plugin(
            name="pgoutput",
            usable=version >= _PGOUTPUT_SINCE and found.allows("pgoutput"),
            loses=tuple(of_pgoutput),
        ),
    ]


def instead(plugin: str, version: int, found: Allowed) -> str:
    """What else would do where `plugin` does not: the sentence, or nothing."""
    other = next(one for one in plugins(version, found) if one.name == "pgoutput")
    return f"; {INSTEAD}" if plugin != "pgoutput" and other.usable else ""


def allowing(plugin: str, found: Allowed, platform: Platform) -> str:
    """How this server is made to allow a plugin; what it allows already stays."""
    listed = BY_DEFAULT.libraries if found.hidden else found.libraries
    value = ", ".join(_listed(name) for name in (*(listed or ()), plugin))
    more = "  (and what SHOW output_plugin_libraries lists beside)" if found.hidden else ""
    if found.on_command_line:
        return f"it was given on the server's command line: change it there to -c {_ALLOWED}='{value}' and restart"
    if platform.parameter:
        return f"{platform.setting(_ALLOWED, value)}, where {platform.name} lets you{more}"
    return f"as a superuser: {platform.setting(_ALLOWED, value)}{more}"


def demand_allowed(connection: Connection, plugin: str, configured: str = "auto") -> None:
    """Refuse early, before a slot is made, a plugin that the server does not list.

    `configured` is what `hosting.platform` says.

    Raises:
        ServerNotReady: output_plugin_libraries lacks it.
    """
    found = allowed(connection)
    if not found.allows(plugin):
        raise refused(plugin, connection.info.server_version, found, platforms.hosting(connection, configured).platform)


def refused(plugin: str, version: int, found: Allowed, platform: Platform = GENERIC) -> ServerNotReady:
    """The server does not list the plugin: what to do."""
    return ServerNotReady(
        f'library "{plugin}" may not be used as an output plugin (SQLSTATE 42501): the server allows '
        f"{', '.join(found.libraries or ()) or 'none'}",
        remedy=allowing(plugin, found, platform) + instead(plugin, version, found),
    )


def _listed(name: str) -> str:
    """A name in a list of names: quoted where it must be."""
    return name if _PLAIN.fullmatch(name) else sql.Identifier(name).as_string()
