"""A registry that answers so many questions, and is silent then: a proxy before the real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2 as httpx


class Held:
    """A registry that lets so many schemas through, and holds the others back until told."""

    def __init__(self, url: str, allowed: int) -> None:
        self.asked = 0
        self.released = threading.Event()
        lock = threading.Lock()
        held = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    held.asked += 1
                    late = held.asked > allowed
                if late:
                    held.released.wait(60)
                answer = httpx.post(f"{url}{self.path}", content=body, headers={"Content-Type": "application/json"})
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        """No more of it."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def held(url: str, allowed: int) -> Iterator[Held]:
    """One before the registry at `url`."""
    with closing(Held(url, allowed)) as registry:
        yield registry
