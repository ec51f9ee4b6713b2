"""How the benchmark mints tickets for its sessions."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.bench.peers import MINTERS, mint
from tests.bench.process import Fault


def test_tickets_are_minted_on_several_connections_at_once_and_within_a_bound() -> None:
    together = threading.Barrier(MINTERS)  # one connection alone would wait here for ever

    class Backend(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            together.wait(60)
            answer = json.dumps({"ticket": body["subject"]}).encode()
            self.send_response(201)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            minted = mint(server.server_port, 3 * MINTERS)
            assert set(minted) == {f"browser-{number}" for number in range(3 * MINTERS)}
            with pytest.raises(Fault, match="0 of 1 minted in time"):
                mint(server.server_port, MINTERS, timeout=0)
        finally:
            server.shutdown()
