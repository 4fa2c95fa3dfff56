"""The schema registry: ids for schemas, schemas for ids.

Room: schema (IO: registry). Confluent Schema Registry, "API Reference".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from producer.errors import AccessDenied, ProducerError, RegistryUnavailable, SchemaRefused

_AT_ONCE = 8
_CONFLICT = 409
_UNPROCESSABLE = 422
_NOT_FOUND = 404
_TOO_MANY = 429


class Registry:
    """Registers and looks up schemas; each (subject, schema) is asked for once."""

    def __init__(
        self,
        url: str,
        *,
        basic_auth: str | None = None,
        ssl: Mapping[str, str] | None = None,
        auto_register: bool = True,
    ) -> None:
        config: dict[str, object] = {"url": url, "max.retries": 1, "timeout": 10}
        if basic_auth is not None:
            config["basic.auth.user.info"] = basic_auth
        config.update({f"ssl.{name}": value for name, value in (ssl or {}).items()})
        self._url = url
        self._auto_register = auto_register
        self._client = SchemaRegistryClient(config)
        self._ids: dict[tuple[str, str], int] = {}
        self._schemas: dict[int, str] = {}

    def register_all(self, wanted: Sequence[tuple[str, str]]) -> list[int]:
        """The ids of (subject, schema) pairs, several asked for at once.

        Raises:
            SchemaRefused: incompatible, invalid, or unknown where registering is not allowed.
            RegistryUnavailable, AccessDenied: as it says.
        """
        missing = [pair for pair in dict.fromkeys(wanted) if pair not in self._ids]
        if len(missing) == 1:
            self._ids[missing[0]] = self._register(*missing[0])
        elif missing:
            with ThreadPoolExecutor(min(_AT_ONCE, len(missing))) as pool:
                self._ids.update(zip(missing, pool.map(lambda pair: self._register(*pair), missing), strict=True))
        return [self._ids[pair] for pair in wanted]

    def schema(self, id: int) -> str:
        """The schema that an id stands for."""
        if id not in self._schemas:
            try:
                self._schemas[id] = str(self._client.get_schema(id).schema_str)
            except (SchemaRegistryError, httpx.HTTPError) as error:
                raise self._explain(error, f"schema id {id}") from error
        return self._schemas[id]

    def compatible(self, subject: str, schema: str) -> bool:
        """Whether the registry would take the schema; True for a new subject."""
        try:
            return bool(self._client.test_compatibility(subject, Schema(schema, "AVRO")))
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return True
            raise self._explain(error, f"subject {subject}") from error
        except httpx.HTTPError as error:
            raise self._explain(error, f"subject {subject}") from error

    def ping(self) -> int:
        """How many subjects there are; raises when the registry cannot be used."""
        try:
            return len(self._client.get_subjects())
        except (SchemaRegistryError, httpx.HTTPError) as error:
            raise self._explain(error, "listing subjects") from error

    def _register(self, subject: str, schema: str) -> int:
        try:
            if self._auto_register:
                return int(self._client.register_schema(subject, Schema(schema, "AVRO")))
            return int(self._client.lookup_schema(subject, Schema(schema, "AVRO")).schema_id)
        except (SchemaRegistryError, httpx.HTTPError) as error:
            raise self._explain(error, f"subject {subject}") from error

    def _explain(self, error: Exception, what: str) -> ProducerError:
        if not isinstance(error, SchemaRegistryError):
            return RegistryUnavailable(
                f"schema registry {self._url}, {what}: {type(error).__name__}: {error}",
                remedy="is schema.registry.url right, and is the registry up?",
            )
        status = error.http_status_code
        words = f"schema registry {self._url}, {what}: {status} {error.error_message}"
        if status in (401, 403):
            return AccessDenied(words, remedy="set schema.registry.basic.auth.user.info, or ask for the right")
        if status in (_CONFLICT, _UNPROCESSABLE):
            return SchemaRefused(
                words,
                remedy="a new topic.prefix, or the subject's compatibility set to NONE, then run again: "
                "nothing of this shape was produced",
            )
        if status == _NOT_FOUND:
            return SchemaRefused(
                words + " (auto.register.schemas=false)" * (not self._auto_register),
                remedy="register what `pg-producer schemas` prints, or set auto.register.schemas=true",
            )
        if status == _TOO_MANY or status >= 500:
            return RegistryUnavailable(words, remedy="is the registry up? it is asked again")
        return SchemaRefused(words, remedy="look at schema.registry.url: is this a Confluent interface?")
