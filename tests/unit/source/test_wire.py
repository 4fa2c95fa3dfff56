"""What the server's errors mean: the class, the exit code, the remedy."""

from __future__ import annotations

import pytest

from producer.errors import (
    AccessDenied,
    OperatorError,
    PostgresUnavailable,
    ProducerError,
    ServerNotReady,
    SlotInUse,
    SlotLost,
)
from producer.source.wire import Server, explain

SERVER = Server(host="h", port=1, user="cdc", dbname="shop", application_name="x", password="s3cret")


@pytest.mark.parametrize(
    ("state", "words", "kind", "remedy"),
    [
        (None, 'FATAL:  password authentication failed for user "cdc"', AccessDenied, "database.password"),
        (None, 'FATAL:  no pg_hba.conf entry for replication connection from host "1.2.3.4"', AccessDenied, "pg_hba"),
        (None, 'FATAL:  database "shop" does not exist', OperatorError, "database.dbname"),
        (None, "FATAL:  must be superuser or replication role to start walsender", AccessDenied, 'ROLE "cdc" REPLICA'),
        (None, "FATAL:  permission denied to start WAL sender", AccessDenied, "rds_replication"),
        ("42501", 'ERROR:  library "wal2json" may not be used as an output plugin', ServerNotReady, "ALTER SYSTEM SET"),
        ("58P01", 'ERROR:  could not access file "wal2json": No such file', ServerNotReady, "apt-get install"),
        ("55000", "ERROR:  logical decoding requires wal_level >= logical", ServerNotReady, "wal_level = logical"),
        ("55006", 'ERROR:  replication slot "s1" is active for PID 7', SlotInUse, "stop the other reader"),
        ("42704", 'ERROR:  replication slot "s1" does not exist', SlotLost, "slot drop"),
        ("42704", 'ERROR:  unrecognized configuration parameter "x"', OperatorError, "server's log"),
        ("53400", "ERROR:  all replication slots are in use", ServerNotReady, "max_replication_slots"),
        (None, 'FATAL:  too many connections for role "cdc"', PostgresUnavailable, "CONNECTION LIMIT of"),
        (None, "FATAL:  sorry, too many clients already", PostgresUnavailable, "max_connections"),
        ("42501", "ERROR:  permission denied for table t", AccessDenied, "GRANT SELECT"),
        ("57P01", "FATAL:  terminating connection due to administrator command", PostgresUnavailable, "up"),
        (None, "server closed the connection unexpectedly", PostgresUnavailable, "up"),
        ("40P01", "ERROR:  deadlock detected", PostgresUnavailable, "up"),
        (None, "SSL SYSCALL error: EOF detected", PostgresUnavailable, "up"),
        (None, "connection failed: SSL error: certificate verify failed", AccessDenied, "database.sslrootcert"),
        (None, 'server certificate for "a" does not match host name "b"', AccessDenied, "database.hostname"),
        (None, 'root certificate file "/a" does not exist', AccessDenied, "database.sslrootcert"),
        (None, 'private key file "/a" has group or world access', AccessDenied, "mode 0600"),
        (None, "SSL error: tlsv1 alert unknown ca", AccessDenied, "database.sslcert"),
        ("28000", "FATAL:  connection requires a valid client certificate", AccessDenied, "database.sslcert"),
        (None, "server does not support SSL, but SSL was required", ServerNotReady, "ssl = on"),
        ("XX000", "ERROR:  invalid memory alloc request size 1080000003", OperatorError, "log"),
    ],
)
def test_each_has_its_class_and_remedy(state: str | None, words: str, kind: type[ProducerError], remedy: str) -> None:
    """One line of reason, one of remedy; the default asks for an operator."""
    error = explain(state, words, SERVER, "testing")
    assert type(error) is kind
    assert remedy in error.remedy
    assert "s3cret" not in str(error)


def test_the_password_is_never_shown() -> None:
    """Neither by repr nor by the name that messages use."""
    assert "s3cret" not in repr(SERVER)
    assert SERVER.where == "cdc@h:1/shop"


@pytest.mark.parametrize(
    ("state", "words", "told"),
    [
        ("22P02", 'invalid input syntax for type integer: "s3 "" cret"', "invalid input syntax for type integer:"),
        ("22P02", 'invalid input syntax for type json\nDETAIL:  Token "s3cret" is invalid.', "for type json"),
        ("22003", 'value "s3cret" is out of range for type integer', "value"),
        ("22008", 'ERROR:  date/time field value out of range: "s3cret\nx"', "out of range:"),
    ],
)
def test_what_the_server_could_not_read_is_not_told(state: str, words: str, told: str) -> None:
    """Its messages about data end with the data."""
    message = explain(state, words, SERVER, "reading").message
    assert message.endswith(told)


def test_a_role_s_name_in_a_statement() -> None:
    """It is quoted as SQL wants it."""
    server = Server(host="h", port=1, user='c"dc', dbname="shop", application_name="x")
    error = explain(None, "FATAL:  must be superuser or replication role to start walsender", server)
    assert 'ALTER ROLE "c""dc" REPLICATION;' in error.remedy
