"""What lies between us and the server, and the sessions that we get there.

Room: source (IO: PostgreSQL). PostgreSQL manual, "System Information Functions"; libpq, PQbackendPID.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from producer.findings import Finding
from producer.source.wire import SESSION, Connection

# Of the pinned ones, those by which values are printed, or found.
_PRINTING = (
    "timezone", "datestyle", "intervalstyle", "extra_float_digits", "bytea_output", "lc_monetary", "search_path",
    "row_security",
)  # fmt: skip
_PINNED = {**{name: SESSION[name] for name in _PRINTING}, "client_encoding": "UTF8"}
_PLACE = b"""
SELECT pg_backend_pid(), coalesce(host(inet_server_addr()), ''), coalesce(inet_server_port(), 0),
       to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), pg_is_in_recovery()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a session is."""

    announced_pid: int
    """The server's process, as the greeting told it."""
    pid: int
    """As it says itself."""
    server: tuple[object, ...]
    """Its address, its port, when it started, whether it is a standby."""

    @property
    def told(self) -> str:
        """Which server it is, in words."""
        address, port, started, standby = self.server
        where = f"{address}:{port}" if address else "a socket"
        return f"{'standby' if standby else 'primary'} at {where}, up since {started}"


def place(connection: Connection) -> Place:
    """Where this session is."""
    row = connection.execute(_PLACE).fetchone()
    pid, *server = row if row is not None else (0,)
    return Place(announced_pid=connection.info.backend_pid, pid=int(str(pid)), server=tuple(server))


def between(places: Sequence[Place], again: Sequence[int]) -> Finding:
    """What several sessions, open at once, tell of what is in between.

    `again` are the processes that the first of them had in later statements.
    """
    first = places[0]
    servers = list(dict.fromkeys(one.told for one in places))
    pids = [one.pid for one in places]
    direct = "set database.hostname and database.port to the primary itself"
    if len(servers) > 1:
        return Finding(
            name="route",
            status="failed",
            detail=f"a load balancer stands in between: our sessions are at {' and at '.join(servers)}",
            remedy=f"{direct}: a slot, its snapshot and its stream are one server's",
        )
    if len(set(pids)) < len(pids) or any(pid != first.pid for pid in again):
        return Finding(
            name="route",
            status="failed",
            detail="a pooler stands in between and gives one session of the server to several of ours: snapshots, "
            "settings and streams need a session of their own",
            remedy=f"{direct}, not to the pooler",
        )
    if any(one.announced_pid != one.pid for one in places):
        return Finding(
            name="route",
            status="warning",
            detail="a pooler stands in between: the server's process is not the one that greeted us",
            remedy=f"{direct}: what a pooler does not pass on (replication, settings at the start) is found only "
            "when it is needed",
        )
    return Finding(name="route", status="ok", detail=first.told)


def settings(connection: Connection, whose: str) -> Iterator[Finding]:
    """Whether the session prints values as the others do."""
    # A walsender takes no parameters.
    query = ", ".join(f"('{name}', current_setting('{name}'))" for name in _PINNED)
    rows = connection.execute(f"VALUES {query}".encode()).fetchall()
    found = {str(name): str(value) for name, value in rows}
    wrong = [f"{name} is {found[name]!r}, not {value!r}" for name, value in _PINNED.items() if _other(found, name)]
    if wrong:
        yield Finding(
            name="session settings",
            status="failed",
            detail=f"{whose}: {'; '.join(wrong)}: snapshot and stream would print values differently",
            remedy="take it out of database.initial.statements; where it is not there, a pooler drops what a session "
            "asks for at its start: connect to the server itself",
        )
    else:
        yield Finding(
            name="session settings",
            status="ok",
            detail=f"{len(_PINNED)} that change how values are printed are as we pin them",
        )


def _other(found: dict[str, str], name: str) -> bool:
    return found[name].replace(" ", "").strip('"').lower() != _PINNED[name].replace(" ", "").lower()
