"""`check` on topics and rights in Kafka that were made wrong on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from dev.kafka import HOST, Kafka
from dev.ports import free_ports
from dev.stack import Stack
from producer.sink.kafka import KafkaSink
from tests.findings import Settings, checked, lines
from tests.harness import Command, Source, wait_for


def test_topics_that_do_not_fit(source: Source, command: Command, stack: Stack) -> None:
    """Every setting of a topic that would stop us, or lose what was acked; and a registry that knows no schema."""
    source.execute(
        "CREATE TABLE keyless (id int)", "ALTER TABLE keyless REPLICA IDENTITY FULL",
        "CREATE TABLE small (id int PRIMARY KEY)", "CREATE TABLE stuck (id int PRIMARY KEY)",
        "CREATE TABLE refused (id int PRIMARY KEY)",
    )  # fmt: skip
    sink = KafkaSink(command.bootstrap_servers, client_id="test")
    try:
        for table, config in (
            ("keyless", {"cleanup.policy": "compact"}),
            ("small", {"max.message.bytes": "5000"}),
            ("stuck", {"min.insync.replicas": "2"}),
        ):
            name = f"{command.prefix}.public.{table}"
            sink.ensure_topics([name], partitions=2, replication_factor=1, config=config, create=True)
        positions = f"{command.prefix}.positions"
        sink.ensure_topics(
            [positions], partitions=1, replication_factor=1, config={"cleanup.policy": "delete"}, create=True
        )
    finally:
        sink.close(1)
    settings: Settings = {
        "snapshot.mode": "when_needed", "topic.creation.default.replication.factor": 3,
        "offset.storage.topic": positions, "auto.register.schemas": "false",
    }  # fmt: skip
    found = checked(command, 3, settings)
    assert lines(found, "failed") == {
        "topic policies", "topic replicas", f"topic {command.prefix}.public.refused",
        *(f"schema of public.{table}" for table in ("keyless", "small", "stuck", "refused")),
    }  # fmt: skip
    assert "small-key" in found["schema of public.small"]["detail"], "both subjects are told"
    policies = found["topic policies"]
    assert f"{command.prefix}.public.keyless (compact, its table has no key)" in policies["detail"]
    assert f"--entity-name {positions} --add-config cleanup.policy=compact" in policies["remedy"]
    assert f"{command.prefix}.public.stuck" in found["topic replicas"]["detail"]
    assert f"{command.prefix}.public.small" in found["topic record sizes"]["detail"]
    assert f"{command.prefix}.public.small" in found["topic retention"]["detail"]
    assert "replication.factor" in found[f"topic {command.prefix}.public.refused"]["remedy"]


@pytest.fixture(scope="module")
def ruled(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kafka, str, str]]:
    """A broker with an authorizer: its open door, where everything is allowed, and that of its user `limited`."""
    folder = tmp_path_factory.mktemp("ruled")
    ports = free_ports(("kafka", "controller", "sasl"))
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    broker = Kafka(
        folder, folder / "data", stack.cache, ports, users=["SCRAM-SHA-512=[name=limited,password=p]"],
        more={
            "listeners": f"PLAINTEXT://{HOST}:{ports['kafka']},SASL_PLAINTEXT://{HOST}:{ports['sasl']},"
            f"CONTROLLER://{HOST}:{ports['controller']}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{ports['kafka']},SASL_PLAINTEXT://{HOST}:{ports['sasl']}",
            "listener.security.protocol.map":
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": login,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        },
    )  # fmt: skip
    broker.start()
    yield broker, f"{HOST}:{ports['kafka']}", f"{HOST}:{ports['sasl']}"
    broker.kill()


def _allow(servers: str, topic: str, *operations: AclOperation) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    bindings = [
        AclBinding(
            ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:limited", "*", one, AclPermissionType.ALLOW
        )
        for one in operations
    ]
    for answer in admin.create_acls(bindings).values():
        answer.result(10)


def test_rights_to_topics(source: Source, command: Command, ruled: tuple[Kafka, str, str]) -> None:
    """Asked of the broker, not tried: what is missing, of topics that are there and of those that would be made."""
    _, open_door, door = ruled
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)")
    there, absent = f"{command.prefix}.public.t", f"{command.prefix}.public.u"
    positions = f"{command.prefix}.positions"
    sink = KafkaSink(open_door, client_id="test")
    try:
        for name, policy in ((there, "delete"), (positions, "compact")):
            sink.ensure_topics(
                [name], partitions=1, replication_factor=1, config={"cleanup.policy": policy}, create=True
            )
    finally:
        sink.close(1)
    _allow(open_door, there, AclOperation.DESCRIBE)
    settings: Settings = {
        "bootstrap.servers": door, "offset.storage.topic": positions,
        "producer.override.security.protocol": "SASL_PLAINTEXT", "producer.override.sasl.mechanism": "SCRAM-SHA-512",
        "producer.override.sasl.username": "limited", "producer.override.sasl.password": "p",
    }  # fmt: skip
    limited = AdminClient({
        "bootstrap.servers": door, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "limited", "sasl.password": "p",
    })  # fmt: skip
    # The broker answers before it goes by a new right.
    wait_for(lambda: there in limited.list_topics(timeout=10).topics, what="the right to be known")
    found = checked(command, 3, settings)
    assert lines(found, "failed") == {"topic rights", f"topic {positions}", f"topic {absent}"}
    assert f"--operation Write --topic {there}" in found["topic rights"]["remedy"]
    assert "rights" in found[f"topic {absent}"]["remedy"]
    for name in (there, positions, absent):
        _allow(open_door, name, AclOperation.READ, AclOperation.WRITE, AclOperation.CREATE, AclOperation.DESCRIBE)

    def allowed() -> bool:
        return command.run("check", settings=settings).returncode == 0

    wait_for(allowed, 20, "the rights to be known")
