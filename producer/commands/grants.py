"""`grants`: the SQL that prepares the source for these settings, for an administrator to run.

Room: commands (pure: nothing is asked). The role need not exist yet, so the filters are applied by the
server that runs the script. PostgreSQL manual, "GRANT", "Row Security Policies", "Role Attributes"; the
platforms' own pages on logical replication.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from psycopg import sql

from producer.commands.publications import publications
from producer.settings import Settings, values
from producer.settings.values import Filter
from producer.source import platform, plugins
from producer.source.platform import Platform

_OTHERWISE = re.compile(r"\\.|^\(\?i\)|\(\?P<\w+>", re.DOTALL)
_WRITTEN = {r"\b": r"\y", r"\B": r"\Y", "(?i": "", "(?P": "("}
# With hosting.platform=auto the server that runs the script decides.
_RIGHT = """\
DO $right$ BEGIN
    IF to_regrole('rds_replication') IS NOT NULL THEN
        GRANT rds_replication TO {role};
    ELSE
        ALTER ROLE {role} REPLICATION;
    END IF;
END $right$;"""

# Whether a relation is captured, and which of its columns are read: key columns stay in the key.
_TABLES = """
DO $grants$
DECLARE
    t record;
    wanted text;
BEGIN
    FOR t IN
        SELECT c.oid, n.nspname, c.relname
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
           AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
           AND {tables}
         ORDER BY n.nspname, c.relname
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', t.nspname, {role});
        {grant}
    END LOOP;
END
$grants$;
"""
_WHOLE = "EXECUTE format('GRANT SELECT ON %I.%I TO %I', t.nspname, t.relname, {role});"
_COLUMNS = """\
SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO wanted
          FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND ({columns}
                OR EXISTS (SELECT FROM pg_catalog.pg_index i
                            WHERE i.indrelid = t.oid AND a.attnum = ANY (i.indkey)
                              AND (i.indisprimary OR i.indisreplident)){keys});
        CONTINUE WHEN wanted IS NULL;
        EXECUTE format('GRANT SELECT (%s) ON %I.%I TO %I', wanted, t.nspname, t.relname, {role});"""

# Where every table of a schema is selected, whole: a later one is readable from its making on.
_LATER = """
DO $later$
DECLARE
    t record;
BEGIN
    FOR t IN
        SELECT n.nspname, r.rolname, pg_has_role(r.oid, 'USAGE') AS ours
          FROM pg_catalog.pg_namespace n CROSS JOIN pg_catalog.pg_roles r
         WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
           AND {schemas}
           AND (r.rolname = current_user AND has_schema_privilege(n.oid, 'CREATE')
                OR EXISTS (SELECT FROM pg_catalog.pg_class c
                            WHERE c.relnamespace = n.oid AND c.relowner = r.oid AND c.relkind IN ('r', 'p')))
         ORDER BY 1, 2
    LOOP
        IF t.ours THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', t.nspname, {role});
            EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I',
                           t.rolname, t.nspname, {role});
        ELSE
            RAISE WARNING 'schema %: what % makes there later is not readable by itself: run this as %, too',
                          t.nspname, t.rolname, t.rolname;
        END IF;
    END LOOP;
END
$later$;
"""


def grants(settings: Settings) -> Iterator[str]:
    """The script's lines: SQL with comments, which may be run again."""
    user = sql.Identifier(settings.database_user).as_string()
    hosted = platform.named(settings.hosting_platform)
    by_log = settings.replication_method == "LOG_BASED" and not hosted.no_log
    yield f"-- What pg-producer needs in the database {settings.database_dbname}, as {settings.database_user}."
    yield "-- Run it there as an administrator; it may be run again: pg-producer grants | psql -v ON_ERROR_STOP=1 -d …"
    if hosted.no_log:
        yield f"-- {hosted.no_log}."
        yield "-- Set replication.method=FULL_TABLE: every run copies the selected tables, with SELECT rights alone."
    publishes = settings.plugin_name == "pgoutput"
    if by_log:
        if settings.hosting_platform == "auto":
            yield from _refusals()
        yield from _level(settings, hosted)
        # A slot is made in no transaction that has written; with pgoutput it is made behind its publication.
        yield from () if publishes else _slot(settings)
    yield ""
    if by_log and publishes:
        # So that the whole script can also be sent as one query.
        yield "BEGIN;"
    yield "-- The role. Give it a password, or another way to log in: ALTER ROLE … PASSWORD '…';"
    yield (f"DO $role$ BEGIN IF to_regrole({_text(user)}) IS NULL THEN CREATE ROLE {user} LOGIN; END IF; END $role$;")
    if by_log:
        auto = settings.hosting_platform == "auto"
        yield _RIGHT.format(role=user) if auto else hosted.may_replicate(settings.database_user)
    database = sql.Identifier(settings.database_dbname).as_string()
    yield f"GRANT CONNECT ON DATABASE {database} TO {user};"
    yield ""
    yield from _readable(settings)
    if by_log and publishes:
        yield from publications(settings, _selected_tables(settings))
        yield "COMMIT;"
        yield ""
        yield from _slot(settings)


def _refusals() -> Iterator[str]:
    """Where nobody may read the log, the script stops before it makes a half of what is needed."""
    for one in platform.PLATFORMS:
        if one.no_log:
            seen = " OR ".join(f"to_regnamespace({_text(schema)}) IS NOT NULL" for schema in one.schemas)
            yield f"DO $hosting$ BEGIN IF {seen} THEN RAISE EXCEPTION {_text(one.no_log)}"
            yield "    USING HINT = 'Set replication.method=FULL_TABLE and run pg-producer grants again.';"
            yield "END IF; END $hosting$;"


def _level(settings: Settings, hosted: Platform) -> Iterator[str]:
    yield ""
    if settings.hosting_platform == "auto":
        yield "-- wal_level must be logical. How it is set depends on who hosts the server:"
        for one in (platform.GENERIC, *(one for one in platform.PLATFORMS if not one.no_log)):
            yield f"--   {one.name}: {one.wal_level}"
    else:
        yield f"-- wal_level must be logical: {hosted.wal_level}."
    if hosted.note:
        yield f"-- {hosted.name}: {hosted.note}."
    if settings.plugin_name == "wal2json":
        allow = plugins.allowing("wal2json", plugins.BY_DEFAULT, hosted)
        yield f"-- Servers of August 2026 and later must allow the plugin, {allow}"


def _slot(settings: Settings) -> Iterator[str]:
    yield "-- The slot: from here on the server keeps its log for the producer, so run that soon."
    name, plugin = _text(settings.slot_name), _text(settings.plugin_name)
    yield f"SELECT pg_create_logical_replication_slot({name}, {plugin})"
    published = ""
    if settings.plugin_name == "pgoutput":
        # Where that failed, no slot is in front of it.
        published = (
            f"\n   AND EXISTS (SELECT FROM pg_publication WHERE pubname::text = {_text(settings.publication_name)})"
        )
    yield f" WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = {name}){published};"


def _readable(settings: Settings) -> Iterator[str]:
    """The rights to read: of the selected tables of now, and of later ones where nothing else would be shown."""
    if settings.table_include_list or settings.table_exclude_list or _column_filters(settings):
        yield "-- The selected tables of now; run this again for tables that come later."
        yield _tables(settings).strip()
        return
    yield "-- The selected tables of now."
    yield _tables(settings).strip()
    yield "-- Tables (and views) that come later, of those who own tables there now, and of whoever runs this."
    schemas = _selected(("n.nspname", settings.schema_include_list, settings.schema_exclude_list))
    yield _LATER.format(schemas=schemas, role=_text(settings.database_user)).strip()


def _column_filters(settings: Settings) -> bool:
    return bool(settings.column_include_list or settings.column_exclude_list)


def _tables(settings: Settings) -> str:
    role = _text(settings.database_user)
    tables = _selected_tables(settings)
    grant = _WHOLE.format(role=role)
    if _column_filters(settings):
        column = "t.nspname || '.' || t.relname || '.' || a.attname"
        columns = _selected((column, settings.column_include_list, settings.column_exclude_list))
        grant = _COLUMNS.format(columns=columns, keys=_other_keys(settings), role=role)
    return _TABLES.format(tables=tables, grant=grant, role=role)


def _selected_tables(settings: Settings) -> str:
    """What the filters say of a table `c` in a schema `n`, as a condition."""
    return _selected(
        ("n.nspname", settings.schema_include_list, settings.schema_exclude_list),
        ("n.nspname || '.' || c.relname", settings.table_include_list, settings.table_exclude_list),
    )


def _other_keys(settings: Settings) -> str:
    """The columns of a unique index, which is the key where there is no primary key, and of message.key.columns."""
    unique = (
        "\n                OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = t.oid AND i.indisunique "
        "AND a.attnotnull AND a.attnum = ANY (i.indkey)\n                              AND NOT EXISTS "
        "(SELECT FROM pg_catalog.pg_index p WHERE p.indrelid = t.oid AND p.indisprimary))"
    )
    named = (
        f"\n                OR (t.nspname || '.' || t.relname ~* {_text(f'^(?:{_as_postgres(expression)})$')} "
        f"AND a.attname IN ({', '.join(map(_text, columns))}))"
        for expression, columns in values.key_columns(settings.message_key_columns).items()
    )
    return unique + "".join(named)


def _selected(*filters: tuple[str, Filter, Filter]) -> str:
    """What the filters say, as a condition: each expression for the whole name, in any case."""
    conditions = []
    for name, include, exclude in filters:
        if include:
            conditions.append(f"({name}) ~* {_expression(include)}")
        if exclude:
            conditions.append(f"({name}) !~* {_expression(exclude)}")
    return " AND ".join(conditions) or "true"


def _expression(filters: Filter) -> str:
    return _text("^(?:" + "|".join(f"(?:{_as_postgres(expression.pattern)})" for expression in filters) + ")$")


def _as_postgres(expression: str) -> str:
    """What Python writes otherwise: word boundaries, named groups, and a case that counts for nobody here."""
    return _OTHERWISE.sub(lambda found: _WRITTEN.get(found.group()[:3], found.group()), expression)


def _text(value: str) -> str:
    return sql.Literal(value).as_string()
