"""How long the adapter takes until it is ready, and its memory then: without a cluster, by itself and beside one pod.

Stands alone, as `make image` runs it inside the image, where the tests are not.
"""

# ruff: noqa: T201 - this is a command-line program

import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RUNS, PORT, PATIENCE_S = 5, 26443, 60.0


class Page(BaseHTTPRequestHandler):
    """What the pod says of itself."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"http_requests_total 1\n")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def pod(port: int) -> str:
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)}
    ready = {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
    metadata = {"name": "a", "namespace": "default", "annotations": notes}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": ready})


def start(targets: str) -> tuple[float, float, float]:
    """Seconds until /readyz says yes, seconds of CPU till then, and MiB resident then."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "targets.yaml").write_text(targets)
        flags = [f"--standalone={folder}/targets.yaml", f"--cert-dir={folder}/cert", "--bind-address=127.0.0.1"]
        began = time.monotonic()
        argv = ["streamgate-adapter", *flags, f"--secure-port={PORT}"]
        with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as child:
            try:
                while not ready():
                    if time.monotonic() > began + PATIENCE_S:
                        sys.exit(f"not ready after {PATIENCE_S:.0f} s")
                    time.sleep(0.02)
                seconds = time.monotonic() - began
                status, stat = (Path(f"/proc/{child.pid}/{name}").read_text() for name in ("status", "stat"))
            finally:
                child.terminate()
    user, system = stat.rpartition(")")[2].split()[11:13]
    worked = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return seconds, worked, int(status.split("VmRSS:")[1].split()[0]) / 1024


def ready() -> bool:
    context = ssl._create_unverified_context()  # its certificate is made when it starts
    try:
        with urllib.request.urlopen(f"https://127.0.0.1:{PORT}/readyz", context=context, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def main() -> None:
    page = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    for about, targets in (("no pod", ""), ("one pod", pod(page.server_port))):
        runs = [start(targets) for _ in range(RUNS)]
        seconds, worked, sizes = zip(*runs, strict=True)
        middle = f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
        cpu = f"{statistics.median(worked):.1f} s of CPU"
        print(f"adapter, {about}: ready after {middle}, {cpu}, {max(sizes):.0f} MiB resident")


if __name__ == "__main__":
    main()
