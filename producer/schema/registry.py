"""The schema registry: ids for schemas, schemas for ids.

Room: schema (IO: registry). Confluent Schema Registry, "API Reference".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import httpx2 as httpx
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from producer.errors import AccessDenied, ProducerError, RegistryUnavailable, SchemaRefused, SettingsError

_AT_ONCE = 8
# A registry that has just started takes seconds for its first schema.
_TIMEOUT_SECONDS = 30
_CONFLICT = 409
_UNPROCESSABLE = 422
_NOT_FOUND = 404
# The registry's own "subject, version or schema not found"; a bare 404 is another server's.
_UNKNOWN_HERE = range(40400, 40500)
_TIMED_OUT = 408
_TOO_MANY = 429
_LONGEST_WORDS = 1000
_USER_INFO = re.compile(r"(?<=://)[^/,\s]*@")
_WRONG_URL = "is schema.registry.url the registry's Confluent interface?"
_REGISTER_IT = "register what `pg-producer schemas` prints, or set auto.register.schemas=true"

T = TypeVar("T")


class Registry:
    """Registers and looks up schemas; each (subject, schema) is asked for once.

    `url` may name several registries, comma-separated, tried in turn. `basic_auth` is
    `user:password`. `ssl` holds `ca.location`, `certificate.location`, `key.location`,
    `key.password`. With `auto_register` false nothing is written: unknown schemas are refused.
    No secret is in its errors.
    """

    def __init__(
        self,
        url: str,
        *,
        basic_auth: str | None = None,
        ssl: Mapping[str, str] | None = None,
        auto_register: bool = True,
    ) -> None:
        """Make ready; nothing is asked yet.

        Raises:
            SettingsError: an address or a TLS setting cannot be used.
        """
        config: dict[str, object] = {
            "url": url,
            "max.retries": 1,
            "retries.wait.ms": 200,
            "timeout": _TIMEOUT_SECONDS,
        }
        if basic_auth is not None:
            config["basic.auth.user.info"] = basic_auth
        config.update({f"ssl.{name}": value for name, value in (ssl or {}).items()})
        self.url = self._url = _USER_INFO.sub("", url)
        """Its address, without who asks."""
        self._auto_register = auto_register
        self._ids: dict[tuple[str, str], int] = {}
        self._schemas: dict[int, str] = {}
        try:
            self._client = SchemaRegistryClient(config)
        except (ValueError, OSError) as error:
            # Without the cause: its text may hold a password.
            raise SettingsError(
                f"schema registry {self._url}: {_USER_INFO.sub('', str(error))}",
                remedy="look at schema.registry.url (http://host:port, several by comma), "
                "schema.registry.basic.auth.user.info (user:password) and schema.registry.ssl.* "
                "(ca.location, certificate.location, key.location, key.password)",
            ) from None

    def register(self, subject: str, schema: str) -> int:
        """The id of a schema under a subject; raises as `register_all`."""
        return self.register_all([(subject, schema)])[0]

    def register_all(self, wanted: Sequence[tuple[str, str]]) -> list[int]:
        """The ids of (subject, schema) pairs, several asked for at once.

        Raises:
            SchemaRefused: incompatible, invalid, or unknown where registering is not allowed.
            RegistryUnavailable, AccessDenied: as it says.
        """
        missing = [pair for pair in dict.fromkeys(wanted) if pair not in self._ids]
        if len(missing) == 1:
            self._ids[missing[0]] = self._register(missing[0])
        elif missing:
            with ThreadPoolExecutor(min(_AT_ONCE, len(missing))) as pool:
                self._ids.update(zip(missing, pool.map(self._register, missing), strict=True))
        return [self._ids[pair] for pair in wanted]

    def schema(self, id: int) -> str:
        """The schema that an id stands for; raises as `register_all`."""
        if id not in self._schemas:
            self._schemas[id] = self._ask(
                f"schema id {id}",
                lambda: str(self._client.get_schema(id).schema_str),
                unknown="is schema.registry.url the registry that the producer used?",
            )
        return self._schemas[id]

    def compatible(self, subject: str, schema: str) -> bool | None:
        """Whether the registry would take the schema; None: it has none for the subject to compare with.

        Raises:
            SchemaRefused: the schema is invalid.
            RegistryUnavailable, AccessDenied: as it says.
        """
        try:
            return bool(self._client.test_compatibility(subject, Schema(schema, "AVRO")))
        except _FAULTS as error:
            if isinstance(error, SchemaRegistryError) and error.error_code in _UNKNOWN_HERE:
                return None
            raise self._explain(error, f"subject {subject}") from error

    def ping(self) -> int:
        """How many subjects there are.

        Raises:
            RegistryUnavailable, AccessDenied, SchemaRefused: the registry cannot be used.
        """
        return self._ask("listing subjects", lambda: len(self._client.get_subjects()))

    def close(self) -> None:
        """Give the connections up."""
        self._client.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def _register(self, pair: tuple[str, str]) -> int:
        subject, text = pair
        schema = Schema(text, "AVRO")

        def question() -> int:
            if self._auto_register:
                return _id(self._client.register_schema(subject, schema))
            return _id(self._client.lookup_schema(subject, schema).schema_id)

        return self._ask(f"subject {subject}", question)

    def _ask(self, what: str, question: Callable[[], T], *, unknown: str = _REGISTER_IT) -> T:
        try:
            return question()
        except _FAULTS as error:
            raise self._explain(error, what, unknown) from error

    def _explain(self, error: Exception, what: str, unknown: str = _REGISTER_IT) -> ProducerError:
        where = f"schema registry {self._url}, {what}"
        if not isinstance(error, SchemaRegistryError):
            return _without_answer(error, where)
        status, code = error.http_status_code, error.error_code
        words = f"{where}: {status} {error.error_message or ''}".rstrip()[:_LONGEST_WORDS]
        if status in (401, 403):
            return AccessDenied(
                words, remedy="set schema.registry.basic.auth.user.info, or ask for the right to the subject"
            )
        if status == _CONFLICT:
            return SchemaRefused(
                words,
                remedy="a new topic.prefix, or the subject's compatibility set to NONE, then run again: "
                "nothing of this shape was produced",
            )
        if status == _UNPROCESSABLE:
            return SchemaRefused(
                words,
                remedy="is the registry in a read-only mode? else report this with the table's definition",
            )
        if status == _NOT_FOUND and code in _UNKNOWN_HERE:
            return SchemaRefused(words, remedy=unknown)
        if status in (_TIMED_OUT, _TOO_MANY) or status >= 500:
            return RegistryUnavailable(words, remedy="is the registry up? it is asked again")
        return SchemaRefused(words, remedy=_WRONG_URL)


_FAULTS = (
    SchemaRegistryError,
    httpx.HTTPError,
    httpx.InvalidURL,
    # An answer with status 200 that is no registry's.
    *(ValueError, KeyError, TypeError, AttributeError),
)


def _id(answer: int | None) -> int:
    if answer is None:
        raise ValueError("the answer holds no id")
    return answer


def _without_answer(error: Exception, where: str) -> ProducerError:
    words = f"{where}: {type(error).__name__}: {_USER_INFO.sub('', str(error))}"[:_LONGEST_WORDS]
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return AccessDenied(words, remedy="set schema.registry.ssl.ca.location to the file of its authority")
    if isinstance(error, httpx.HTTPError):
        return RegistryUnavailable(words, remedy="is schema.registry.url right, and is the registry up?")
    return SchemaRefused(words, remedy=_WRONG_URL)
