"""The one target that Prometheus scrapes: series of every pod in a file, each counter at a steady rate.

`python -m loadtest.adapter_bench.series FILE PORT` serves /metrics on loopback; FILE holds [[namespace, pod], …].
"""

import json
import sys
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

SERIES = 10
"""Per pod."""
RATE = 1.0
"""Per second and series, so that a pod has 10/s."""


def heads(pods: Sequence[Sequence[str]]) -> list[str]:
    """Everything of each line but its value."""
    return [
        f'http_requests_total{{namespace="{namespace}",pod="{pod}",path="/{number}",code="200"}} '
        for namespace, pod in pods
        for number in range(SERIES)
    ]


def body(lines: Sequence[str], seconds: float) -> bytes:
    """The exposition after so many seconds."""
    value = f"{seconds * RATE:.3f}\n"
    return ("# TYPE http_requests_total counter\n" + "".join(head + value for head in lines)).encode()


def serve(file: Path, port: int) -> None:
    """Until it is ended."""
    lines, began = heads(json.loads(file.read_bytes())), time.time()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = body(lines, time.time() - began)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Silence."""

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
