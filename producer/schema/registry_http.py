"""Questions to a schema registry over HTTP, and what comes back.

Room: schema (IO: registry). Confluent Schema Registry, "API Reference". Not by Confluent's own client: that
imports what OAuth needs, a quarter of the time and a sixth of the memory of a start.
"""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2 as httpx

from producer.figures import Calls

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_HEADERS = {"Accept": f"{_CONTENT_TYPE}, application/json", "Content-Type": _CONTENT_TYPE}
# A registry that has just started takes seconds for its first schema.
_TIMEOUT_SECONDS = 30
_CONNECT_SECONDS = 5
_RETRY_SECONDS = 0.2
_PASSING = (408, 429, 500, 502, 503, 504)
_TLS = ("ca.location", "certificate.location", "key.location", "key.password")


class Refused(Exception):
    """The registry answers with an error."""

    def __init__(self, status: int, code: int | None, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.code = code
        """The registry's own, where the answer holds one."""
        self.words = words


FAULTS = (Refused, httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError)
"""What a question can end with; the last three: an answer with status 200 that is no registry's."""


class RegistryHttp:
    """Asks the first of several addresses that answers; usable from several threads."""

    def __init__(self, urls: str, basic_auth: str | None, tls: Mapping[str, str], calls: Calls | None = None) -> None:
        """Make ready; nothing is asked yet. Each question is counted in `calls`.

        Raises:
            ValueError, OSError: an address or a TLS setting cannot be used; the text may hold a password.
        """
        self._calls = calls or Calls()
        self._urls = [url.strip().rstrip("/") for url in urls.split(",")]
        for url in self._urls:
            if urlsplit(url).scheme not in ("http", "https"):
                raise ValueError(f"{url} is no http:// or https:// address")
        login = None
        if basic_auth is not None:
            if ":" not in basic_auth:
                raise ValueError("the login is not written as user:password")
            if any(urlsplit(url).username for url in self._urls):
                raise ValueError("there is a login in the address and one beside it")
            login = httpx.BasicAuth(*basic_auth.split(":", 1))
        secure = any(url.startswith("https") for url in self._urls)
        timeout = httpx.Timeout(_TIMEOUT_SECONDS, connect=_CONNECT_SECONDS)
        self._client = httpx.Client(auth=login, headers=_HEADERS, timeout=timeout, verify=_tls(tls, secure=secure))

    def get(self, *path: str) -> object:
        """GET; `path` in parts, as they are. Raises one of FAULTS."""
        return self._ask("GET", path, None)

    def post(self, *path: str, schema: str) -> object:
        """POST a schema. Raises one of FAULTS."""
        return self._ask("POST", path, json.dumps({"schema": schema}))

    def close(self) -> None:
        """Give the connections up."""
        self._client.close()

    def _ask(self, method: str, path: tuple[str, ...], body: str | None) -> object:
        where = "/".join(quote(part, safe="") for part in path)
        fault: Exception | None = None
        for url in self._turns():
            try:
                response = self._client.request(method, f"{url}/{where}", content=body)
            except httpx.TransportError as error:
                self._calls.note("failed")
                fault = error
                continue
            self._calls.note("answered" if response.is_success else "refused")
            if response.is_success:
                answer: object = response.json()
                return answer
            fault = _refused(response)
            if response.status_code not in _PASSING:
                break
        assert fault is not None
        raise fault

    def _turns(self) -> Iterator[str]:
        """Each address, and once more after a moment: what is passing may have passed."""
        for url in self._urls:
            yield url
            time.sleep(_RETRY_SECONDS * random.random())  # noqa: S311
            yield url


def _refused(response: httpx.Response) -> Refused:
    try:
        said = response.json()
        return Refused(response.status_code, said.get("error_code"), str(said.get("message") or ""))
    except (ValueError, AttributeError):
        return Refused(response.status_code, None, response.text)


def _tls(settings: Mapping[str, str], *, secure: bool) -> ssl.SSLContext:
    unknown = [name for name in settings if name not in _TLS]
    if unknown:
        raise ValueError(f"no such setting: {', '.join(unknown)}")
    ca, certificate, key, password = map(settings.get, _TLS)
    if (key or password) and not certificate:
        raise ValueError("a key without a certificate")
    if not secure and not settings:
        # Without the system's authorities, which take a while to read: it is not used.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca and Path(ca).is_dir():
        context = ssl.create_default_context(capath=ca)
    else:
        context = ssl.create_default_context(cafile=ca)
    if certificate:
        context.load_cert_chain(certificate, key, password)
    return context
