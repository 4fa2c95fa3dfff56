"""Who hosts the server, recognised from what each leaves visible in SQL, and what is to be done there.

Room: source (IO: PostgreSQL). docs/platforms.md has a section for each, from the platforms' own pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from producer.source.wire import Connection

_ALTER_SYSTEM = "ALTER SYSTEM SET {name} = {value};"
_RELOAD = "SELECT pg_reload_conf();"
_REPLICATION = "ALTER ROLE {} REPLICATION;"


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What a hosting platform wants done in its own way."""

    key: str
    """As `hosting.platform` names it."""
    name: str
    wal_level: str = f"{_ALTER_SYSTEM.format(name='wal_level', value='logical')}  then restart the server"
    """How wal_level becomes logical."""
    parameter: str = ""
    """How another parameter is set, with {name} and {value}; empty: by ALTER SYSTEM."""
    right: str = _REPLICATION
    """The statement that lets a role replicate."""
    no_log: str = ""
    """Why nobody may read its log; empty: one may."""
    note: str = ""
    """What else is to be known of it."""
    roles: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()

    def setting(self, name: str, value: str, *, restart: bool = False) -> str:
        """How a parameter of the server is set here."""
        if self.parameter:
            return self.parameter.format(name=name, value=value) + (", then restart" if restart else "")
        then = "  then restart the server" if restart else f" {_RELOAD}"
        return _ALTER_SYSTEM.format(name=name, value=value) + then

    def may_replicate(self, user: str) -> str:
        """The statement that lets this role replicate."""
        return self.right.format(sql.Identifier(user).as_string())


GENERIC = Platform(key="generic", name="a server of one's own")
# Asked in this order: what stands on another's servers shows the other's marks too.
PLATFORMS: tuple[Platform, ...] = (
    Platform(
        key="heroku",
        name="Heroku Postgres",
        right="-- Heroku gives nobody the right to replicate: not to {} either",
        no_log="Heroku Postgres gives nobody wal_level=logical, a replication slot or the REPLICATION right: its log "
        "cannot be read from outside",
        parameter="Heroku sets {name} itself: ask its support for {value}",
        wal_level="Heroku does not offer wal_level = logical",
        schemas=("heroku_ext", "_heroku"),
    ),
    Platform(
        key="aurora",
        name="Amazon Aurora",
        wal_level="set rds.logical_replication = 1 in the DB cluster parameter group, then reboot the writer: aws rds "
        "modify-db-cluster-parameter-group --db-cluster-parameter-group-name … --parameters "
        "ParameterName=rds.logical_replication,ParameterValue=1,ApplyMethod=pending-reboot",
        parameter="set {name} = {value} in the DB cluster parameter group",
        right="GRANT rds_replication TO {};",
        note="connect to the cluster's writer endpoint: its readers decode nothing",
        functions=("aurora_version",),
    ),
    Platform(
        key="rds",
        name="Amazon RDS",
        wal_level="set rds.logical_replication = 1 in the DB parameter group, then reboot the instance: aws rds "
        "modify-db-parameter-group --db-parameter-group-name … --parameters "
        "ParameterName=rds.logical_replication,ParameterValue=1,ApplyMethod=pending-reboot",
        parameter="set {name} = {value} in the DB parameter group",
        right="GRANT rds_replication TO {};",
        note="an RDS Proxy in between cannot replicate: connect to the instance",
        roles=("rdsadmin", "rds_superuser"),
        settings=("rds.logical_replication", "rds.extensions"),
    ),
    Platform(
        key="cloud_sql",
        name="Google Cloud SQL",
        wal_level="set the flag cloudsql.logical_decoding = on beside those that are set (the instance restarts): "
        "gcloud sql instances patch … --database-flags=cloudsql.logical_decoding=on,…",
        parameter="set the flag {name} = {value} (gcloud sql instances patch … --database-flags=…)",
        note="whoever makes the slot needs the right to replicate too: ALTER USER postgres WITH REPLICATION;",
        roles=("cloudsqlsuperuser", "cloudsqladmin"),
        settings=("cloudsql.logical_decoding", "cloudsql.iam_authentication"),
    ),
    Platform(
        key="azure",
        name="Azure Database for PostgreSQL",
        wal_level="set the server parameter wal_level = logical, then restart: az postgres flexible-server parameter "
        "set --resource-group … --server-name … --name wal_level --value logical",
        parameter="set the server parameter {name} = {value} (az postgres flexible-server parameter set "
        "--resource-group … --server-name … --name {name} --value …)",
        roles=("azure_pg_admin", "azuresu"),
        settings=("azure.extensions",),
    ),
    Platform(
        key="neon",
        name="Neon",
        wal_level="enable logical replication in the project's settings (the computes restart; it cannot be undone)",
        parameter="Neon sets {name} itself: ask its support for {value}",
        note="connect without -pooler in the host's name; a slot that nobody reads is removed after some 40 hours, "
        "restoring a branch removes its slots, and a running producer keeps the compute awake",
        roles=("neon_superuser",),
        settings=("neon.tenant_id", "neon.timeline_id"),
    ),
    Platform(
        key="supabase",
        name="Supabase",
        wal_level="Supabase has wal_level = logical by itself: restart the project, or ask its support",
        parameter="supabase --experimental postgres-config update --config {name}={value}",
        note="use the direct connection, db.<project>.supabase.co:5432 (IPv6, or the IPv4 add-on): its pooler cannot "
        "replicate",
        roles=("supabase_admin",),
    ),
    Platform(
        key="crunchy_bridge",
        name="Crunchy Bridge",
        wal_level="Crunchy Bridge has wal_level = logical by itself: as the postgres user, ALTER SYSTEM SET "
        "wal_level = logical;  then restart the cluster",
        parameter="set {name} = {value} as a configuration parameter of the cluster",
        roles=("crunchy_superuser", "crunchy_replication"),
    ),
)
_BY_KEY = {platform.key: platform for platform in (GENERIC, *PLATFORMS)}

_MARKS = b"""
SELECT 'role ' || rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (%(roles)s)
UNION ALL SELECT 'schema ' || nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY (%(schemas)s)
UNION ALL SELECT 'function ' || proname FROM pg_catalog.pg_proc WHERE proname = ANY (%(functions)s)
UNION ALL SELECT 'setting ' || name FROM pg_catalog.pg_settings WHERE name = ANY (%(settings)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosting:
    """The platform whose ways are followed, and what was seen of one."""

    platform: Platform
    seen: Platform
    """What the server looks like."""
    marks: tuple[str, ...]
    """By what it was recognised."""


def named(key: str) -> Platform:
    """The platform of that name; one that nobody knows is generic."""
    return _BY_KEY.get(key, GENERIC)


def hosting(connection: Connection, configured: str) -> Hosting:
    """The platform that `hosting.platform` says, or that the server shows where it says auto."""
    marks = tuple(_marks(connection))
    seen = recognised(marks)
    shown = tuple(mark for mark in marks if mark in _marks_of(seen))
    return Hosting(platform=seen if configured == "auto" else named(configured), seen=seen, marks=shown)


def recognised(marks: tuple[str, ...]) -> Platform:
    """The first platform that shows one of its marks (`role rds_superuser`, `setting rds.extensions`, …)."""
    return next((one for one in PLATFORMS if not _marks_of(one).isdisjoint(marks)), GENERIC)


def _marks_of(platform: Platform) -> set[str]:
    kinds = {
        "role": platform.roles,
        "setting": platform.settings,
        "schema": platform.schemas,
        "function": platform.functions,
    }
    return {f"{kind} {name}" for kind, names in kinds.items() for name in names}


def _marks(connection: Connection) -> Iterator[str]:
    wanted = {
        kind: [name for platform in PLATFORMS for name in getattr(platform, kind)]
        for kind in ("roles", "schemas", "functions", "settings")
    }
    found = {str(mark) for (mark,) in connection.execute(_MARKS, wanted).fetchall()}
    yield from sorted(found)
    for name in wanted["settings"]:
        if f"setting {name}" not in found and _is_set(connection, name):
            yield f"setting {name}"


def _is_set(connection: Connection, name: str) -> bool:
    """Whether it is a setting here: pg_settings shows none that we may not see, nor one that no library has claimed."""
    try:
        row = connection.execute(b"SELECT current_setting(%s, true)", (name,)).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return True
    return row is not None and row[0] is not None
