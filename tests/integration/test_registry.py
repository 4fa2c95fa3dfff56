"""The registry's client against the real registry, and against answers that one would not give on demand."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from dev.stack import Stack
from producer.errors import AccessDenied, ProducerError, RegistryUnavailable, SchemaRefused
from producer.events import Column, PgType, Relation
from producer.schema import fixed
from producer.schema.avro import table_schema
from producer.schema.registry import Registry
from producer.schema.types import Modes

INT4 = PgType(oid=23, schema="pg_catalog", name="int4", kind="base")
TEXT = PgType(oid=25, schema="pg_catalog", name="text", kind="base")
NUMERIC = PgType(oid=1700, schema="pg_catalog", name="numeric", kind="base")


class Connect(Protocol):
    def __call__(self, url: str = "", *, basic_auth: str | None = None, auto_register: bool = True) -> Registry: ...


@pytest.fixture
def connect(stack: Stack) -> Iterator[Connect]:
    """Registry(…), of the stack where no address is given, closed at the end."""
    made: list[Registry] = []

    def connect(url: str = "", *, basic_auth: str | None = None, auto_register: bool = True) -> Registry:
        made.append(Registry(url or stack.registry_url, basic_auth=basic_auth, auto_register=auto_register))
        return made[-1]

    yield connect
    for registry in made:
        registry.close()


@pytest.fixture
def admin(stack: Stack) -> Iterator[SchemaRegistryClient]:
    """Not our own client."""
    with SchemaRegistryClient({"url": stack.registry_url}) as client:
        yield client


@pytest.fixture
def subject(admin: SchemaRegistryClient) -> Iterator[str]:
    """A subject of its own."""
    name = f"test-{secrets.token_hex(5)}.public.orders-value"
    yield name
    if name in admin.get_subjects():
        admin.delete_subject(name)


def record(**fields: object) -> str:
    return json.dumps(
        {
            "type": "record",
            "name": "R",
            "namespace": secrets.token_hex(1).join("nn"),
            "fields": [{"name": name, "type": type} for name, type in fields.items()],
        }
    )


def test_registered_schemas_come_back_by_their_id(connect: Connect, subject: str) -> None:
    columns = (
        Column(name="id", attnum=1, type=INT4, not_null=True),
        Column(name="größe", attnum=2, type=NUMERIC),
        Column(name="rest", attnum=3, type=NUMERIC),
    )
    relation = Relation(
        oid=1, schema="public", name="a b", columns=columns, key=("id",), identity="default",
        identity_columns=frozenset({"id"}),
    )  # fmt: skip
    text = table_schema(relation, modes=Modes(prefix=subject.split(".")[0])).value_schema
    number = connect().register(subject, text)
    assert number > 0
    assert connect().register(subject, text) == number
    assert json.loads(connect().schema(number)) == json.loads(text)


def test_several_at_once_in_their_order(connect: Connect, admin: SchemaRegistryClient, subject: str) -> None:
    pairs = [(subject, record(a=["null", "int"])), (subject, record(a="string", b="long"))]
    admin.set_compatibility(subject, "NONE")
    registry = connect()
    wanted = [pairs[0], pairs[1], pairs[0]]
    first, second, again = registry.register_all(wanted)
    assert first == again != second
    assert [json.loads(registry.schema(id)) for id in (first, second)] == [json.loads(text) for _, text in pairs]


def test_the_second_time_nothing_is_asked(connect: Connect, admin: SchemaRegistryClient, subject: str) -> None:
    registry = connect()
    text = record(a="int")
    number = registry.register(subject, text)
    admin.delete_subject(subject)
    assert registry.register(subject, text) == number


def test_incompatible_schemas_are_refused_in_the_registrys_words(
    connect: Connect, admin: SchemaRegistryClient, subject: str
) -> None:
    registry = connect()
    text = record(a="int")
    registry.register(subject, text)
    admin.set_compatibility(subject, "BACKWARD")
    other = text.replace('"int"', '"string"')
    assert registry.compatible(subject, text) is True
    assert registry.compatible(subject, other) is False
    with pytest.raises(SchemaRefused, match=subject) as caught:
        registry.register(subject, other)
    assert "ncompatib" in caught.value.message
    assert "nothing of this shape was produced" in caught.value.remedy


def test_added_and_dropped_columns_are_compatible(connect: Connect, admin: SchemaRegistryClient, subject: str) -> None:
    key = Column(name="id", attnum=1, type=INT4, not_null=True)
    old = Column(name="old", attnum=2, type=TEXT, not_null=True)
    new = Column(name="new", attnum=3, type=NUMERIC, not_null=True)
    registry = connect()
    for columns in ((key, old), (key, old, new), (key, new)):
        relation = Relation(
            oid=1, schema="public", name="orders", columns=columns, key=("id",), identity="default",
            identity_columns=frozenset({"id"}),
        )  # fmt: skip
        registry.register(subject, table_schema(relation, modes=Modes(prefix=subject.split(".")[0])).value_schema)
        admin.set_compatibility(subject, "BACKWARD")


@pytest.mark.parametrize("name", ["HEARTBEAT_VALUE", "TRANSACTION_METADATA_VALUE", "MESSAGE_KEY", "MESSAGE_VALUE"])
def test_the_fixed_records_are_accepted(connect: Connect, subject: str, name: str) -> None:
    assert connect().register(subject, json.dumps(getattr(fixed, name))) > 0


def test_invalid_schemas_are_refused(connect: Connect, subject: str) -> None:
    with pytest.raises(SchemaRefused, match=subject):
        connect().register(subject, '{"type":"nonsense"}')


def test_without_the_right_to_register(connect: Connect, subject: str) -> None:
    text = record(a="int")
    reader = connect(auto_register=False)
    with pytest.raises(SchemaRefused, match=subject) as caught:
        reader.register(subject, text)
    assert "pg-producer schemas" in caught.value.remedy
    number = connect().register(subject, text)
    assert reader.register(subject, text) == number
    with pytest.raises(SchemaRefused):
        reader.register(subject, record(b="int"))


def test_an_unknown_id(connect: Connect) -> None:
    with pytest.raises(SchemaRefused, match="999999999"):
        connect().schema(999999999)


def test_ping_and_several_addresses(connect: Connect, stack: Stack) -> None:
    assert connect(f"http://127.0.0.1:1,{stack.registry_url}").ping() >= 0


def test_another_path_is_no_registry(connect: Connect, stack: Stack) -> None:
    with pytest.raises(SchemaRefused) as caught:
        connect(stack.registry_url.removesuffix("/v7")).ping()
    assert "schema.registry.url" in caught.value.remedy


def test_nobody_there_and_no_secret_told(connect: Connect) -> None:
    with pytest.raises(RegistryUnavailable) as caught:
        connect("http://joe:s3cret@127.0.0.1:1").ping()
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1:1" in caught.value.message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, '{"error_code":401,"message":"Unauthorized"}', AccessDenied),
        (403, '{"error_code":40301,"message":"denied"}', AccessDenied),
        (409, '{"error_code":409,"message":"Schema being registered is incompatible"}', SchemaRefused),
        (422, '{"error_code":42205,"message":"read-only"}', SchemaRefused),
        (404, "<html>not here</html>", SchemaRefused),
        (404, '{"error_code":404,"message":"HTTP 404 Not Found"}', SchemaRefused),
        (405, "", SchemaRefused),
        (429, '{"error_code":42901,"message":"slow down"}', RegistryUnavailable),
        (500, '{"error_code":50001,"message":"store"}', RegistryUnavailable),
        (503, "", RegistryUnavailable),
        (507, "", RegistryUnavailable),
        (200, "<html>welcome</html>", SchemaRefused),
        (200, "[]", SchemaRefused),
        (200, "{}", SchemaRefused),
        (204, "", SchemaRefused),
    ],
)
@pytest.mark.parametrize("auto_register", [True, False])
def test_every_answer_has_its_verdict(
    connect: Connect, status: int, body: str, kind: type[ProducerError], auto_register: bool
) -> None:
    with _answering(status, body) as url:
        registry = connect(url, basic_auth="joe:s3cret", auto_register=auto_register)
        with pytest.raises(kind) as caught:
            registry.register("shop.public.orders-value", record(a="int"))
    assert type(caught.value) is kind
    assert "shop.public.orders-value" in caught.value.message
    assert "s3cret" not in str(caught.value)


def test_a_subject_without_schemas_has_nothing_to_compare_with(connect: Connect) -> None:
    with _answering(404, '{"error_code":40401,"message":"Subject not found."}') as url:
        assert connect(url).compatible("s", record(a="int")) is None


class _answering:  # noqa: N801 - read as a verb
    """A server that gives every request the same answer."""

    def __init__(self, status: int, body: str) -> None:
        data = body.encode()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
