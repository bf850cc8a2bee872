"""A running adapter without a cluster, and pods on loopback of which only one behaves."""

import gzip
import json
import os
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RATE = 10
"""requests/s that the one good pod counts."""
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
BOMB = gzip.compress(b"#" * (64 << 20), 1)
CHUNK = b"# nothing to see here\n" * 3000


class Pods:
    """An HTTP server with a thread for each scrape; each path behaves in a way of its own."""

    def __init__(self) -> None:
        self.scrapes: Counter[str] = Counter()
        self._began = time.time()
        self._over = threading.Event()
        pods = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                pods.answer(self.rfile, self.wfile)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    @contextmanager
    def serving(self) -> Iterator["Pods"]:
        """Serve while the context lasts."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._server.shutdown()
            thread.join(10)
            self._server.server_close()

    def answer(self, rfile: BufferedIOBase, wfile: BufferedIOBase) -> None:
        """One scrape, until whoever scrapes has had enough."""
        kind = rfile.readline().split()[1].decode().strip("/")
        while rfile.readline().strip():
            pass
        self.scrapes[kind] += 1
        try:
            for part in getattr(self, kind)():
                wfile.write(part)
        except OSError:
            pass

    def good(self) -> Iterator[bytes]:
        """A counter that rises by RATE a second."""
        yield OK + f"\r\nhttp_requests_total {RATE * (time.time() - self._began)}\nqueue_depth 7\n".encode()

    fresh = good

    def large(self) -> Iterator[bytes]:
        """Some 13 MB of good lines."""
        yield OK + b"\r\n"
        for part in range(200):
            yield b"".join(b'large{n="%d"} 1\n' % (part * 4000 + line) for line in range(4000))

    def endless(self) -> Iterator[bytes]:
        """Never a last byte."""
        yield OK + b"\r\n"
        while not self._over.is_set():
            yield CHUNK

    def never(self) -> Iterator[bytes]:
        """Not even a first byte."""
        self._over.wait()
        yield b""

    def slow(self) -> Iterator[bytes]:
        """A byte now and then."""
        for byte in OK:
            yield bytes([byte])
            self._over.wait(0.2)

    def zipped(self) -> Iterator[bytes]:
        """64 MiB in 300 kB."""
        yield OK + b"Content-Encoding: gzip\r\n\r\n" + BOMB

    def labels(self) -> Iterator[bytes]:
        """20,000 series that were never there before."""
        stamp = self.scrapes["labels"]
        yield OK + b"\r\n" + b"".join(b'bomb{n="%d-%d"} 1\n' % (stamp, line) for line in range(20_000))

    def odd(self) -> Iterator[bytes]:
        """Values that no HPA should see."""
        yield OK + b"\r\nhttp_requests_total NaN\nqueue_depth +Inf\nnan_depth NaN\nhuge_depth 1e300\ngood_depth 3\n"

    def liar(self) -> Iterator[bytes]:
        """A million requests/s, said to be the good pod's."""
        lie = f'{{namespace="default",pod="good"}} {1e6 * (time.time() - self._began)}'
        yield OK + f"\r\nhttp_requests_total{lie}\n".encode()

    def noise(self) -> Iterator[bytes]:
        """1,000 bad lines and a good one."""
        yield OK + b"\r\n" + b'\x00\xff{{{{"}} 1 2 3 4\nhttp_requests_total{pod=} x\n' * 500 + b"noise_depth 4\n"

    def html(self) -> Iterator[bytes]:
        """As a proxy in between would answer."""
        yield OK.replace(b"text/plain", b"text/html") + b"\r\n<html>404 but 200</html>"

    def long(self) -> Iterator[bytes]:
        """A line of a mebibyte and a good one."""
        yield OK + b'\r\nlong_depth{a="' + b"x" * (1 << 20) + b'"} 1\nlong_depth 5\n'

    def future(self) -> Iterator[bytes]:
        """A sample of the year 5138 and a good one."""
        yield OK + b"\r\nfuture_depth 1 99999999999999\nfuture_depth 6\n"

    def error(self) -> Iterator[bytes]:
        """Good lines with a bad status."""
        yield b"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\nhttp_requests_total 1\n"


class Reply(NamedTuple):
    """An answer of the adapter."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body decoded."""
        return json.loads(self.body)


class Running:
    """An adapter process in standalone mode."""

    def __init__(self, folder: Path, pods: Mapping[str, int], flags: Sequence[str]) -> None:
        self.folder, self.log, self.objects = folder, folder / "adapter.log", folder / "pods.yaml"
        self.write(pods)
        self._command = command(f"--standalone={self.objects}", f"--cert-dir={folder}", "--secure-port=0", *flags)
        self.port = 0

    def write(self, pods: Mapping[str, int]) -> None:
        """These pods there are: name -> port. Each is scraped at the path that its name is."""
        new = self.objects.with_suffix(".new")
        new.write_text(yaml.safe_dump_all([pod(name, port) for name, port in pods.items()]))
        new.rename(self.objects)

    @contextmanager
    def running(self) -> Iterator["Running"]:
        """Run it while the context lasts."""
        with self.log.open("wb") as log:
            process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log, env=environment())
        try:
            until(lambda: process.poll() is not None or self._is_up(), 30)
            assert process.poll() is None, self.log.read_text()
            self._tls = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
            self._tls.load_cert_chain(self.folder / "client.crt", self.folder / "client.key")
            yield self
            assert process.poll() is None, self.log.read_text()[-4000:]
        finally:
            process.terminate()
            process.wait(20)

    def _is_up(self) -> bool:
        ports = [line["port"] for line in self.lines() if line["event"] == "serving"]
        self.port = ports[0] if ports else 0
        return any(line["event"] == "standalone" for line in self.lines())

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """The lines of its log, those of one event if one is named."""
        entries = [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in entries if event in ("", line["event"])]

    def ask(self, path: str, *, method: str = "GET", **headers: str) -> Reply:
        """The answer to a request of its administrator."""
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5, context=self._tls) as answer:
                return Reply(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read())

    def values(self, metric: str, selector: str = "") -> dict[str, str]:
        """What is served of a metric of pods, by pod."""
        answer = self.ask(f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/{metric}{selector}")
        return {item["describedObject"]["name"]: item["value"] for item in answer.json.get("items", ())}


def command(*flags: str) -> list[str]:
    """The adapter on loopback, without OTLP."""
    fixed = ["--bind-address=127.0.0.1", "--otlp-grpc-port=0", "--otlp-http-port=0"]
    return [sys.executable, "-m", "adapter", *fixed, *flags]


def environment() -> dict[str, str]:
    """Ours, without a cluster."""
    return {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}


def pod(name: str, port: int) -> dict[str, Any]:
    """A pod of app web that is scraped at /NAME."""
    notes = {"scrape": "true", "port": str(port), "path": f"/{name}"}
    metadata = {
        "name": name,
        "namespace": "default",
        "labels": {"app": "web"},
        "annotations": {f"prometheus.io/{key}": value for key, value in notes.items()},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "status": {"phase": "Running", "podIP": "127.0.0.1"},
    }


def until(true: Callable[[], object], seconds: float) -> bool:
    """Wait until it is true; whether it is."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="module")
def pods() -> Iterator[Pods]:
    with Pods().serving() as pods:
        yield pods
