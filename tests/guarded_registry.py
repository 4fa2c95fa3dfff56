"""A registry behind TLS that asks for a certificate and a login: a real proxy before the real one."""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@contextmanager
def guarded(registry: str, *, certificate: Path, key: Path, clients: Path | None, login: str | None) -> Iterator[str]:
    """The address of a proxy before `registry`; `clients`: who vouches for those who may ask."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    place = urlsplit(registry)
    wanted = None if login is None else "Basic " + base64.b64encode(login.encode()).decode()

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            if wanted is not None and self.headers.get("Authorization") != wanted:
                self._answer(401, b'{"error_code":401,"message":"who are you?"}')
                return
            asked = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=60)
            kept = {name: value for name in ("Accept", "Content-Type") if (value := self.headers.get(name))}
            asked.request(self.command, self.path, body=body or None, headers=kept)
            answer = asked.getresponse()
            self._answer(answer.status, answer.read())
            asked.close()

        do_POST = do_GET  # noqa: N815 (http.server's name)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: who is refused is a test's matter."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            # The handshake is the client's thread's matter; who fails it is let go.
            with suppress(OSError), context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)

    server = Server(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}{place.path}"
    finally:
        server.shutdown()
        server.server_close()
