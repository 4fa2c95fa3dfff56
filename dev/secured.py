"""PostgreSQL and Kafka that ask for TLS, passwords and certificates; and a broker that is reached by a detour.

Room: dev (IO). PostgreSQL manual, "The pg_hba.conf File", "Secure TCP/IP Connections with SSL"; Kafka's
documentation, "Security".
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from dev.kafka import HOST, Kafka
from dev.ports import free_ports
from dev.programs import server_user
from dev.stack import Stack

# The roles and users: one logs in with a password, the other with its certificate.
BY_PASSWORD = "by_password"
BY_CERTIFICATE = "by_certificate"
# They are looked for in everything that is printed.
PASSWORD = "pa55-of-everybody-Zq7"
KEY_PASSWORD = "pa55-of-the-key-Xw3"


class Certificates:
    """An authority, a stranger, and what the authority signed; files, keys in PKCS#8."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        authority = trustme.CA()
        self.authority = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        self.stranger = folder / "stranger.pem"
        trustme.CA().cert_pem.write_to_path(str(self.stranger))
        server = authority.issue_cert(HOST)
        client = authority.issue_cert("client.example", common_name=BY_CERTIFICATE)
        self.server, self.server_key = folder / "server.pem", folder / "server.key"
        self.client, self.client_key = folder / "client.pem", folder / "client.key"
        self.locked_key = folder / "locked.key"
        """The client's, locked by KEY_PASSWORD."""
        _write(self.server, *(blob.bytes() for blob in server.cert_chain_pems))
        _write(self.client, *(blob.bytes() for blob in client.cert_chain_pems))
        _write(self.server_key, _key(server, NoEncryption()))
        _write(self.client_key, _key(client, NoEncryption()))
        _write(self.locked_key, _key(client, BestAvailableEncryption(KEY_PASSWORD.encode())))
        self.server_both = folder / "server-both.pem"
        _write(self.server_both, self.server_key.read_bytes(), self.server.read_bytes())


class Secured:
    """A PostgreSQL that takes BY_PASSWORD and BY_CERTIFICATE over TLS only; a Kafka with a door for each.

    `detour` is a port of somebody who leads to the broker's `behind_detour`: who asks there is sent there again.
    """

    def __init__(self, folder: Path, cache: Path, detour: int) -> None:
        self._folder = folder
        self.certificates = Certificates(folder / "certificates")
        self.postgres = Stack(folder / "postgres", cache)
        ports = free_ports(("kafka", "controller", "sasl", "tls", "detour"))
        self.bootstrap_servers = f"{HOST}:{ports['kafka']}"
        self.by_password = f"{HOST}:{ports['sasl']}"
        self.by_certificate = f"{HOST}:{ports['tls']}"
        self.behind_detour = ports["detour"]
        doors = {
            "PLAINTEXT": ports["kafka"], "SASL_SSL": ports["sasl"], "SSL": ports["tls"], "DETOUR": ports["detour"],
        }  # fmt: skip
        advertised = {**doors, "DETOUR": detour}
        self.kafka = Kafka(
            folder, folder / "kafka-data", cache, ports,
            users=[f"SCRAM-SHA-512=[name={BY_PASSWORD},password={PASSWORD}]"],
            more={
                "listeners": f"{_doors(doors)},CONTROLLER://{HOST}:{ports['controller']}",
                "advertised.listeners": _doors(advertised),
                "listener.security.protocol.map":
                    "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,DETOUR:PLAINTEXT",
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config":
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;",
                "listener.name.ssl.ssl.client.auth": "required",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(self.certificates.server_both),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(self.certificates.authority),
            },
        )  # fmt: skip

    def start(self) -> None:
        """Start both at once."""
        with ThreadPoolExecutor(2) as pool:
            for started in (pool.submit(self._start_postgres), pool.submit(self.kafka.start)):
                started.result()

    def wipe(self) -> None:
        """End both and delete their data."""
        self.kafka.kill()
        self.postgres.wipe()
        shutil.rmtree(self._folder)

    @contextlib.contextmanager
    def frozen_kafka(self) -> Iterator[None]:
        """The broker hears nothing and says nothing; its connections stay."""
        with _frozen([self.kafka.process.pid]):
            yield

    @contextlib.contextmanager
    def frozen_postgres(self) -> Iterator[None]:
        """Every process of the server."""
        leader = self.postgres.pid("postgres")
        children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
        with _frozen([leader, *map(int, children)]):
            yield

    def _start_postgres(self) -> None:
        self.postgres.start("postgres")
        with psycopg.connect(self.postgres.postgres_dsn(), autocommit=True) as connection:
            (data, rules), *_ = connection.execute(
                "SELECT current_setting('data_directory'), current_setting('hba_file')"
            ).fetchall()
            for source, name in (("server", "server.crt"), ("server_key", "server.key"), ("authority", "root.crt")):
                target = Path(data) / name
                _write(target, Path(getattr(self.certificates, source)).read_bytes())
                if user := server_user():
                    os.chown(target, user.pw_uid, user.pw_gid)
            connection.execute("ALTER SYSTEM SET ssl = on")
            connection.execute("ALTER SYSTEM SET ssl_ca_file = 'root.crt'")
            connection.execute(f"CREATE ROLE {BY_PASSWORD} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
            connection.execute(f"CREATE ROLE {BY_CERTIFICATE} SUPERUSER LOGIN")
            lines = (
                f"hostssl all {BY_PASSWORD} {HOST}/32 scram-sha-256",
                f"hostssl all {BY_CERTIFICATE} {HOST}/32 cert",
                f"host all {BY_PASSWORD},{BY_CERTIFICATE} {HOST}/32 reject",
            )
            hba = Path(rules)
            hba.write_text("\n".join([*lines, hba.read_text()]))
        # By a restart: a reload is taken by each process in its own time.
        self.postgres.restart("postgres")


@contextlib.contextmanager
def _frozen(pids: list[int | None]) -> Iterator[None]:
    known = [pid for pid in pids if pid is not None]
    try:
        for pid in known:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in known:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _doors(ports: dict[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())


def _key(certificate: trustme.LeafCert, encryption: KeySerializationEncryption) -> bytes:
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _write(file: Path, *parts: bytes) -> None:
    """Readable by its owner only: libpq and PostgreSQL refuse other keys."""
    file.touch(mode=0o600)
    file.write_bytes(b"".join(parts))
