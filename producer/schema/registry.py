"""The schema registry: ids for schemas, schemas for ids.

Room: schema (IO: registry). Confluent Schema Registry, "API Reference".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import httpx2 as httpx

from producer.errors import AccessDenied, ProducerError, RegistryUnavailable, SchemaRefused, SettingsError
from producer.figures import Calls
from producer.schema.registry_http import FAULTS, Refused, RegistryHttp

_AT_ONCE = 8
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
        calls: Calls | None = None,
    ) -> None:
        """Make ready; nothing is asked yet.

        Raises:
            SettingsError: an address or a TLS setting cannot be used.
        """
        self.url = self._url = _USER_INFO.sub("", url)
        """Its address, without who asks."""
        self._auto_register = auto_register
        self._ids: dict[tuple[str, str], int] = {}
        self._schemas: dict[int, str] = {}
        self._asked: dict[tuple[str, str], Future[int]] = {}
        """What was asked for ahead of need."""
        self._pool: ThreadPoolExecutor | None = None
        try:
            self._http = RegistryHttp(url, basic_auth, ssl or {}, calls)
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
        missing = [pair for pair in dict.fromkeys(wanted) if pair not in self._ids and not self._taken(pair)]
        if len(missing) == 1:
            self._ids[missing[0]] = self._register(missing[0])
        elif missing:
            with ThreadPoolExecutor(min(_AT_ONCE, len(missing))) as pool:
                self._ids.update(zip(missing, pool.map(self._register, missing), strict=True))
        return [self._ids[pair] for pair in wanted]

    def ahead(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Begin to register what will be needed soon, in this order, several at once, and return.

        Whatever it ends with, `register_all` tells when the pair is needed.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE, "registry")
        for pair in wanted:
            if pair not in self._ids and pair not in self._asked:
                self._asked[pair] = self._pool.submit(self._register, pair)

    def _taken(self, pair: tuple[str, str]) -> bool:
        """Take the id that was asked for ahead; False: it was not, or has not begun, or failed: ask now."""
        future = self._asked.pop(pair, None)
        if future is None or future.cancel() or future.exception() is not None:
            return False
        self._ids[pair] = future.result()
        return True

    def schema(self, id: int) -> str:
        """The schema that an id stands for; raises as `register_all`."""
        if id not in self._schemas:
            self._schemas[id] = self._ask(
                f"schema id {id}",
                lambda: _text(self._http.get("schemas", "ids", str(id)), "schema"),
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
            answer = self._http.post("compatibility", "subjects", subject, "versions", "latest", schema=schema)
            return bool(_field(answer, "is_compatible"))
        except FAULTS as error:
            if isinstance(error, Refused) and error.code in _UNKNOWN_HERE:
                return None
            raise self._explain(error, f"subject {subject}") from error

    def compatible_all(self, wanted: Sequence[tuple[str, str]]) -> list[bool | None]:
        """As `compatible` for each (subject, schema), several asked for at once."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda pair: self.compatible(*pair), wanted))

    def mode(self) -> str | None:
        """READWRITE, READONLY, IMPORT; None: it does not tell."""
        return self._told("mode", "mode")

    def compatibility(self) -> str | None:
        """The level of subjects that have none of their own; None: it does not tell."""
        return self._told("config", "compatibilityLevel")

    def _told(self, path: str, name: str) -> str | None:
        try:
            return _text(self._http.get(path), name)
        except FAULTS:
            # Not every registry has the question, nor everybody the right to it.
            return None

    def ping(self) -> int:
        """How many subjects there are.

        Raises:
            RegistryUnavailable, AccessDenied, SchemaRefused: the registry cannot be used.
        """
        return self._ask("listing subjects", lambda: len(_list(self._http.get("subjects"))))

    def close(self) -> None:
        """Give the connections up."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    def _register(self, pair: tuple[str, str]) -> int:
        subject, text = pair
        path = ("subjects", subject, "versions") if self._auto_register else ("subjects", subject)
        return self._ask(f"subject {subject}", lambda: _id(self._http.post(*path, schema=text)))

    def _ask(self, what: str, question: Callable[[], T], *, unknown: str = _REGISTER_IT) -> T:
        try:
            return question()
        except FAULTS as error:
            raise self._explain(error, what, unknown) from error

    def _explain(self, error: Exception, what: str, unknown: str = _REGISTER_IT) -> ProducerError:
        where = f"schema registry {self._url}, {what}"
        if not isinstance(error, Refused):
            return _without_answer(error, where)
        status, code = error.status, error.code
        words = f"{where}: {status} {error.words}".rstrip()[:_LONGEST_WORDS]
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


def _field(answer: object, name: str) -> object:
    if not isinstance(answer, dict):
        raise TypeError(f"the answer is no object with {name}")
    return answer[name]


def _id(answer: object) -> int:
    found = _field(answer, "id")
    if not isinstance(found, int):
        raise TypeError("the answer holds no id")
    return found


def _text(answer: object, name: str) -> str:
    return str(_field(answer, name))


def _list(answer: object) -> list[object]:
    if not isinstance(answer, list):
        raise TypeError("the answer is no list")
    return answer


def _without_answer(error: Exception, where: str) -> ProducerError:
    words = f"{where}: {type(error).__name__}: {_USER_INFO.sub('', str(error))}"[:_LONGEST_WORDS]
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return AccessDenied(
            words,
            remedy="set schema.registry.ssl.ca.location to the file of its authority; the address must bear the "
            "name that its certificate has",
        )
    if "[SSL" in words and "UNEXPECTED_EOF" not in words:
        # Waiting mends none of the others: it wants a certificate of ours, or speaks no TLS at all.
        return AccessDenied(
            words,
            remedy="does it want schema.registry.ssl.certificate.location (with key.location)? "
            "is schema.registry.url right about https?",
        )
    if isinstance(error, httpx.HTTPError):
        return RegistryUnavailable(words, remedy="is schema.registry.url right, and is the registry up?")
    return SchemaRefused(words, remedy=_WRONG_URL)
