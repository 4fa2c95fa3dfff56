"""Who we are to the servers and who they are to us; and what is never told: secrets, and what rows hold."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.secured import BY_CERTIFICATE, BY_PASSWORD, KEY_PASSWORD, PASSWORD, Secured
from dev.stack import Stack
from tests.guarded_registry import guarded
from tests.harness import Command, Source, source_of

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
LOGIN_PASSWORD = "pa55-of-the-registry-Vb9"
SALT = "5alt-of-the-mask-Ku2"
SECRETS = (PASSWORD, KEY_PASSWORD, LOGIN_PASSWORD, SALT)
ROW = "r0w-value-Yt4"

Settings = dict[str, object]


@pytest.fixture
def source(secured: Secured) -> Iterator[Source]:
    """A database of the server that asks who we are."""
    with source_of(secured.postgres, f"t{os.urandom(5).hex()}") as made:
        yield made


@pytest.fixture(scope="session")
def registries(stack: Stack, secured: Secured) -> Iterator[dict[str, str]]:
    """The registry's addresses: one asks for a login, one for a certificate."""
    files = secured.certificates
    with (
        guarded(
            stack.registry_url, certificate=files.server, key=files.server_key, clients=None,
            login=f"asker:{LOGIN_PASSWORD}",
        ) as by_login,
        guarded(
            stack.registry_url, certificate=files.server, key=files.server_key, clients=files.authority, login=None
        ) as by_certificate,
    ):  # fmt: skip
        yield {"password": by_login, "certificate": by_certificate}


def everywhere(secured: Secured, registries: dict[str, str], how: str) -> Settings:
    """TLS with verification to all three servers, as the same user or with the same certificate."""
    files = secured.certificates
    shared: Settings = {
        "database.hostname": "127.0.0.1",
        "database.port": secured.postgres.postgres_port,
        "database.sslmode": "verify-full",
        "database.sslrootcert": files.authority,
        "producer.override.ssl.ca.location": files.authority,
        "schema.registry.url": registries[how],
        "schema.registry.ssl.ca.location": files.authority,
    }
    if how == "password":
        return {
            **shared,
            "database.user": BY_PASSWORD,
            "database.password": PASSWORD,
            "bootstrap.servers": secured.by_password,
            "producer.override.security.protocol": "SASL_SSL",
            "producer.override.sasl.mechanism": "SCRAM-SHA-512",
            "producer.override.sasl.username": BY_PASSWORD,
            "producer.override.sasl.password": PASSWORD,
            "schema.registry.basic.auth.user.info": f"asker:{LOGIN_PASSWORD}",
        }
    return {
        **shared,
        "database.user": BY_CERTIFICATE,
        "database.password": "",
        "database.sslcert": files.client,
        "database.sslkey": files.client_key,
        "bootstrap.servers": secured.by_certificate,
        "producer.override.security.protocol": "SSL",
        "producer.override.ssl.certificate.location": files.client,
        "producer.override.ssl.key.location": files.locked_key,
        "producer.override.ssl.key.password": KEY_PASSWORD,
        "schema.registry.ssl.certificate.location": files.client,
        "schema.registry.ssl.key.location": files.locked_key,
        "schema.registry.ssl.key.password": KEY_PASSWORD,
    }


class Kept:
    """The command with its settings in a file: no secret is in its arguments."""

    def __init__(self, command: Command, folder: Path) -> None:
        self._command = command
        self._folder = folder

    def _file(self, settings: Settings) -> str:
        file = self._folder / f"{len(list(self._folder.glob('*.properties')))}.properties"
        salted = {f"column.mask.hash.SHA-256.with.salt.{SALT}": r"public\.t\.masked", **settings}
        file.write_text("".join(f"{key}={value}\n" for key, value in salted.items()))
        return str(file)

    def run(self, *arguments: str, settings: Settings, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """To its end."""
        kept = {name: value for name, value in settings.items() if name not in _IN_ENVIRONMENT}
        environment = self._command.environment()
        for name, variable in _IN_ENVIRONMENT.items():
            environment.pop(variable, None)
            if name in settings:
                environment[variable] = str(settings[name])
        argv = [sys.executable, "-m", "producer", *arguments, "--config", self._file(kept)]
        done = subprocess.run(
            argv, env=environment, text=True, capture_output=True, timeout=seconds, check=False
        )  # fmt: skip
        untold(done.stdout + done.stderr, SECRETS)
        return done


# The environment of the harness would win over the file.
_IN_ENVIRONMENT = {
    "database.hostname": "PRODUCER_DATABASE_HOSTNAME",
    "database.port": "PRODUCER_DATABASE_PORT",
    "database.user": "PRODUCER_DATABASE_USER",
    "database.password": "PRODUCER_DATABASE_PASSWORD",
    "bootstrap.servers": "PRODUCER_BOOTSTRAP_SERVERS",
    "schema.registry.url": "PRODUCER_SCHEMA_REGISTRY_URL",
}


def untold(text: str, secrets: tuple[str, ...]) -> None:
    """None of them is in what was told."""
    found = [secret for secret in secrets if secret in text]
    assert not found, f"{found} in:\n{text}"


@pytest.fixture
def kept(command: Command, secured: Secured, tmp_path: Path) -> Kept:
    """The command; its topics are looked at by the open door."""
    command.bootstrap_servers = secured.bootstrap_servers
    return Kept(command, tmp_path)


@pytest.mark.parametrize("how", ["password", "certificate"])
def test_encrypted_and_verified_everywhere(
    source: Source, command: Command, kept: Kept, secured: Secured, registries: dict[str, str], how: str
) -> None:
    """TLS to all three, by SCRAM and login, or by certificates; at the most talkative level no secret is told."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text, masked text)", f"INSERT INTO t VALUES (1, '{ROW}', '{ROW}')"
    )
    loud: Settings = {
        **everywhere(secured, registries, how),
        "log.level": "trace", "producer.override.debug": "all",
    }  # fmt: skip
    for arguments in (["check", "--json"], ["run", "--once"], ["status", "--json"]):
        done = kept.run(*arguments, settings=loud)
        assert done.returncode == 0, done.stderr
        untold(done.stdout + done.stderr, (ROW,))
    source.execute(f"INSERT INTO t VALUES (2, '{ROW}', '{ROW}')")
    done = kept.run("run", "--once", settings=loud)
    untold(done.stdout + done.stderr, (ROW,))
    assert [record.key for record in command.records()] == [{"id": 1}, {"id": 2}]
    (ways,) = source.rows(
        "SELECT count(*) FROM pg_hba_file_rules WHERE type = 'hostssl' AND auth_method IN ('scram-sha-256', 'cert')"
    )
    assert ways == (2,), "the server takes these users over TLS only"


REFUSED: dict[str, tuple[str, Settings, str]] = {
    "an authority that did not sign the server's": (
        "password", {"database.sslrootcert": "{stranger}"}, "database.sslrootcert"
    ),
    "a name that is not in the certificate": (
        "password", {"database.hostname": "localhost"}, "database.hostname"
    ),
    "no certificate": ("certificate", {"database.sslcert": "", "database.sslkey": ""}, "database.sslcert"),
    "a wrong password": ("password", {"database.password": f"{PASSWORD}-no"}, "database.password"),
    "Kafka: an authority that did not sign the broker's": (
        "password", {"producer.override.ssl.ca.location": "{stranger}"}, ".ssl.*"
    ),
    "Kafka: no certificate": (
        "certificate",
        {f"producer.override.ssl.{name}": None for name in ("certificate.location", "key.location", "key.password")},
        ".ssl.*",
    ),
    "Kafka: a wrong password": ("password", {"producer.override.sasl.password": f"{PASSWORD}-no"}, ".sasl.*"),
    "Kafka: another mechanism": ("password", {"producer.override.sasl.mechanism": "PLAIN"}, "mechanism"),
    "registry: an authority that did not sign its": (
        "password", {"schema.registry.ssl.ca.location": "{stranger}"}, "schema.registry.ssl.ca.location"
    ),
    "registry: no certificate": (
        "certificate",
        {f"schema.registry.ssl.{name}": None for name in ("certificate.location", "key.location", "key.password")},
        "schema.registry.ssl.certificate.location",
    ),
    "registry: a wrong login": (
        "password", {"schema.registry.basic.auth.user.info": f"asker:{LOGIN_PASSWORD}-no"}, "basic.auth.user.info"
    ),
}  # fmt: skip


@pytest.mark.parametrize("refused", REFUSED)
def test_who_is_refused_is_not_tried_again(
    source: Source, kept: Kept, secured: Secured, registries: dict[str, str], refused: str
) -> None:
    """Issue D 4, 9: exit 3 with the setting to look at, though errors.retry.timeout is for ever; no secret is told."""
    source.execute(TABLE)
    how, changes, remedy = REFUSED[refused]
    settings = everywhere(secured, registries, how)
    for name, value in changes.items():
        if value is None:
            del settings[name]
        else:
            settings[name] = str(value).format(stranger=secured.certificates.stranger)
    done = kept.run("run", settings={**settings, "log.level": "trace"}, seconds=30)
    assert done.returncode == 3, done.stderr
    assert remedy in done.stderr
    assert source.confirmed_lsn() is None
    if "a wrong" in refused:
        checked = kept.run("check", "--json", settings=settings)
        assert checked.returncode == 3
        assert remedy in checked.stdout


def test_no_secret_in_a_temporary_fault_or_a_bug(
    source: Source, command: Command, kept: Kept, secured: Secured, registries: dict[str, str]
) -> None:
    """Servers away, settings that cannot work, and an error that nobody thought of: its traceback included."""
    source.execute(TABLE)
    settings = everywhere(secured, registries, "password")
    for away in ({"database.port": 1}, {"bootstrap.servers": "127.0.0.1:1"}, {"schema.registry.url": "https://a:1/"}):
        limited = {**settings, **away, "errors.retry.timeout": 0, "log.level": "trace", "log.format": "json"}
        done = kept.run("run", settings=limited)
        assert done.returncode == 5, done.stderr
    wrong: Settings = {"database.port": "x", "producer.override.acks": "0", "producer.override.sasl.passwort": PASSWORD}
    for changes in (wrong, {"producer.override.sasl.passwort": PASSWORD}, {"schema.registry.ssl.key": KEY_PASSWORD}):
        assert kept.run("run", settings={**settings, **changes}).returncode == 2
    bug = (
        "import producer.commands as commands\nfrom producer import cli\nfrom producer.pipeline import stages\n"
        "def broken(settings, *, as_json):\n"
        "    server, password = stages.server(settings), settings.database_password.get_secret_value()\n"
        "    raise RuntimeError(f'{settings!r} {server!r}')\n"
        "commands.status = broken\ncli.main()\n"
    )
    environment = {**command.environment(), "PRODUCER_DATABASE_PASSWORD": PASSWORD}
    environment["PRODUCER_SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO"] = f"a:{LOGIN_PASSWORD}"
    overridden = ["--set", f"producer.override.sasl.password={KEY_PASSWORD}"]
    for style in ("text", "json"):
        argv = [sys.executable, "-c", bug, "status", "--set", f"log.format={style}", *overridden]
        crashed = subprocess.run(argv, env=environment, text=True, capture_output=True, check=False, timeout=30)
        assert crashed.returncode == 1, crashed.stderr
        assert "RuntimeError" in crashed.stderr
        untold(crashed.stdout + crashed.stderr, SECRETS)


def test_no_secret_in_the_process_title(
    source: Source, command: Command, kept: Kept, secured: Secured, registries: dict[str, str]
) -> None:
    """While it streams, the process's arguments are those that it was given, and the server shows no secret."""
    source.execute(TABLE)
    settings = everywhere(secured, registries, "password")
    secret = {"database.password", "producer.override.sasl.password", "schema.registry.basic.auth.user.info"}
    file = Path(kept._file({name: value for name, value in settings.items() if name in secret}))
    given = {name: value for name, value in settings.items() if name not in secret}
    # The harness's own password is in its environment, which wins over the file.
    given["database.password"] = f"${{file:{file}:database.password}}"
    running = command.start("run", "--config", str(file), settings=given)
    running.wait_for("streaming")
    untold(Path(f"/proc/{running.process.pid}/cmdline").read_text(), SECRETS)
    untold(str(source.rows("SELECT * FROM pg_stat_activity")), SECRETS)
    assert running.stop() == 0
    untold(running.stderr, SECRETS)


def test_what_rows_hold_is_told_at_no_level(source: Source, command: Command, secured: Secured) -> None:
    """Rows that cannot be carried, too large ones, a refused schema, a failing SELECT: never a value, on both paths."""
    loud: Settings = {
        "database.port": secured.postgres.postgres_port, "log.level": "trace", "producer.override.debug": "all",
        "producer.override.message.max.bytes": 5000, "table.include.list": r"public\.t",
    }  # fmt: skip
    rows = f"(1, '{ROW}', '{{{ROW}}}'), (2, '{ROW}', '{{{{{ROW}}}}}'), (3, repeat('{ROW}', 1000), NULL)"
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v text, a text[])", f"INSERT INTO t VALUES {rows}")

    def told_by_once(code: int, **more: str) -> None:
        done = command.run("run", "--once", settings={**loud, **{k.replace("_", "."): v for k, v in more.items()}})
        assert done.returncode == code, done.stderr
        untold(done.stdout + done.stderr, (ROW,))

    told_by_once(0, errors_tolerance="all")
    source.execute("DELETE FROM t", f"INSERT INTO t VALUES {rows}")
    told_by_once(4)
    told_by_once(0, errors_tolerance="all")
    source.execute("TRUNCATE t", f"ALTER TABLE t ALTER id TYPE text USING '{ROW}'", f"INSERT INTO t VALUES ('{ROW}')")
    told_by_once(3)
    select = "snapshot.select.statement.overrides"
    loud |= {select: "public.t", f"{select}.public.t": "SELECT id, v::int::text AS v, a FROM public.t"}
    source.execute(f"UPDATE t SET v = '{ROW}'")
    told_by_once(3, snapshot_mode="initial_only", topic_prefix=f"{command.prefix}-2")
