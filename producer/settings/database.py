"""What is read: the server, the slot, the selection of tables, the snapshot.

Room: settings (pure). libpq's "Parameter Key Words"; Debezium's PostgreSQL connector, "Connector properties".
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict

from producer.settings import values
from producer.settings.values import (
    LOWER,
    UPPER,
    Count,
    Expressions,
    Flag,
    Host,
    KeyColumns,
    Passed,
    Platform,
    Port,
    Publication,
    Secret,
    Slot,
    Statements,
    Stripped,
    Text,
    setting,
)


class DatabaseSettings(BaseModel):
    """The settings of the source."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Stripped = setting(
        "", "name", "The connector's name: in the slot's application_name, the offsets' key, logs."
    )
    database_hostname: Host = setting("localhost", "database.hostname", "The server's host name or address.")
    database_port: Port = setting(5432, "database.port", "The server's port.")
    database_user: Text = setting("postgres", "database.user", "The role to connect as.")
    database_password: Secret = setting(
        None, "database.password", "Its password; without one libpq's .pgpass counts. Secret."
    )
    database_dbname: Text = setting("postgres", "database.dbname", "The database.")
    database_sslmode: Annotated[Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"], LOWER] = (
        setting("prefer", "database.sslmode", "libpq's sslmode.")
    )
    database_sslrootcert: Stripped = setting("", "database.sslrootcert", "libpq's sslrootcert: a file's path.")
    database_sslcert: Stripped = setting("", "database.sslcert", "libpq's sslcert: a file's path.")
    database_sslkey: Stripped = setting("", "database.sslkey", "libpq's sslkey: a file's path.")
    database_initial_statements: Statements = setting(
        (),
        "database.initial.statements",
        "SQL run on each new ordinary session, not on the replication one; `;` separates, `;;` is a semicolon.",
    )
    replication_method: Annotated[Literal["LOG_BASED", "FULL_TABLE"], UPPER] = setting(
        "LOG_BASED",
        "replication.method",
        "How changes are found: by the log; or `FULL_TABLE`: each run copies every selected table, deletes from its "
        "topic what has gone, and ends; see docs/full-table.md.",
    )
    hosting_platform: Platform = setting(
        "auto",
        "hosting.platform",
        "Who hosts the server, e.g. generic, cloud_sql, rds, aurora, heroku: shapes `check`, `grants`.",
    )
    plugin_name: Annotated[Literal["wal2json", "pgoutput"], LOWER] = setting(
        "wal2json", "plugin.name", "The server's output plugin."
    )
    publication_name: Publication = setting(
        "",
        "publication.name",
        "The publication that pgoutput reads by; beside it `<publication.name>_inserts`, of tables without replica "
        "identity. No effect with wal2json.",
    )
    publication_autocreate_mode: Annotated[Literal["filtered", "all_tables", "no_tables", "disabled"], LOWER] = setting(
        "filtered",
        "publication.autocreate.mode",
        "How the publication is made: `filtered` and kept in step with the selected tables; `all_tables` (superuser); "
        "`no_tables`, for an administrator to add them; `disabled`: it must be there. No effect with wal2json.",
    )
    slot_name: Slot = setting(
        "", "slot.name", "The replication slot; one that exists is used. By default lower-cased, other characters `_`."
    )
    slot_drop_on_stop: Flag = setting(
        False,
        "slot.drop.on.stop",
        "Drop the slot at every orderly end, that of `--once` too, and forget the position: the next start takes a "
        "new snapshot. Never after an error, nor where a standby reads the slot by then.",
    )
    slot_failover: Flag = setting(
        False, "slot.failover", "Make the slot a failover slot; from PostgreSQL 17 on, else refused."
    )
    schema_include_list: Expressions = setting(
        (),
        "schema.include.list",
        "Schemas to capture: expressions by comma, each for the whole name, any case; none: all.",
    )
    schema_exclude_list: Expressions = setting(
        (), "schema.exclude.list", "Schemas to leave out; system schemas always are."
    )
    table_include_list: Expressions = setting(
        (), "table.include.list", "Tables to capture, on `schema.table`; within the schemas that are."
    )
    table_exclude_list: Expressions = setting(
        (), "table.exclude.list", "Tables to leave out, on `schema.table`; wins over include."
    )
    column_include_list: Expressions = setting(
        (), "column.include.list", "Columns to send, on `schema.table.column`; none: all."
    )
    column_exclude_list: Expressions = setting(
        (), "column.exclude.list", "Columns to leave out; wins over include. A key column stays in the key."
    )
    message_key_columns: KeyColumns = setting(
        "",
        "message.key.columns",
        "Keys by table: `schema.table:col1,col2;…`, an expression for the table, columns by name.",
    )
    message_prefix_include_list: Expressions = setting(
        (),
        "message.prefix.include.list",
        "Logical messages to send to `<prefix>.message`: expressions by comma, each for the whole prefix, any case; "
        "none: no message.",
    )
    snapshot_mode: Annotated[
        Literal["initial", "initial_only", "always", "no_data", "never", "when_needed"],
        LOWER,
    ] = setting(
        "initial",
        "snapshot.mode",
        "When tables are copied whole: `initial` at first; `when_needed` also when the slot is lost, moved or made "
        "anew, with deletes for what has gone; `always` at every start; `initial_only` and then stop; `no_data` "
        "(`never`) not.",
    )
    snapshot_max_threads: Count = setting(
        2, "snapshot.max.threads", "Sessions that copy at the same time, in one table too."
    )
    snapshot_chunk_rows: Count = setting(
        100000,
        "snapshot.chunk.rows",
        "Rows aimed at in a chunk, which one session copies, and which an interrupted snapshot does not read again "
        "once it is done; from PostgreSQL 14 on. [rows]",
    )
    snapshot_select_statement_overrides: Stripped = setting(
        "",
        "snapshot.select.statement.overrides",
        "Tables, `schema.table` by comma, whose snapshot is the SELECT of this key with `.schema.table` behind it.",
    )
    snapshot_select_statements: Passed

    def wants_message(self, prefix: str) -> bool:
        """Whether logical messages of this prefix are asked for."""
        return values.matches(self.message_prefix_include_list, prefix)

    def wants_table(self, schema: str, table: str) -> bool:
        """Whether the filters select a table."""
        for include, exclude, name in (
            (self.schema_include_list, self.schema_exclude_list, schema),
            (self.table_include_list, self.table_exclude_list, f"{schema}.{table}"),
        ):
            if include and not values.matches(include, name):
                return False
            if values.matches(exclude, name):
                return False
        return True

    def wants_column(self, schema: str, table: str, column: str) -> bool:
        """Whether the filters select a column of a selected table."""
        name = f"{schema}.{table}.{column}"
        included = not self.column_include_list or values.matches(self.column_include_list, name)
        return included and not values.matches(self.column_exclude_list, name)

    def key_of(self, schema: str, table: str) -> tuple[str, ...]:
        """The columns that `message.key.columns` names for a table, in its order; empty: none."""
        name = f"{schema}.{table}"
        named = (
            column
            for expression, columns in values.key_columns(self.message_key_columns).items()
            if re.fullmatch(expression, name, re.IGNORECASE)
            for column in columns
        )
        return tuple(dict.fromkeys(named))

    def snapshot_select(self, schema: str, table: str) -> str | None:
        """The SELECT whose rows are a table's snapshot; None: the table's own."""
        name = f"{schema}.{table}"
        return self.snapshot_select_statements.get(name) if name in self.overridden_tables() else None

    def overridden_tables(self) -> tuple[str, ...]:
        """The tables whose snapshot has a SELECT of its own, `schema.table`."""
        return values.names(self.snapshot_select_statement_overrides)

    def unmatched_overrides(self) -> list[tuple[str, str]]:
        """(key, why) of snapshot overrides that name a table without a SELECT, or the other way round."""
        key = "snapshot.select.statement.overrides"
        named = self.overridden_tables()
        given = self.snapshot_select_statements
        missing = [(key, f"names {name}, but {key}.{name} is not given") for name in named if not given.get(name)]
        unnamed = [
            (f"{key}.{name}", f"has no effect: {key} does not name {name}") for name in given if name not in named
        ]
        return missing + unnamed
