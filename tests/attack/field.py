"""The field on which attacks run: an adapter over TLS, its surroundings, and what an attacker may do there."""

import json
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import trustme
import yaml

from tests.attack.objects import NAMESPACE, PODS, hpa, pod, pods_metric, usual_series
from tests.attack.processes import child, client_context, free_port, until
from tests.attack.world import TENANT

CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
RULES = r"""
rules:
- seriesQuery: '{__name__=~"^.*_depth$",pod!=""}'
  resources: &labels {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  metricsQuery: max(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
- seriesQuery: '{__name__=~"^.*_total$",pod!=""}'
  resources: *labels
  name: {matches: "^(.*)_total$", as: "${1}_per_second"}
  metricsQuery: sum(rate(<<.Series>>{<<.LabelMatchers>>}[20s])) by (<<.GroupBy>>)
externalRules:
- seriesQuery: '{__name__=~"^.*_jobs$"}'
  resources: *labels
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>})
"""


class Source(Enum):
    """Where the adapter has its values from."""

    EMBEDDED = "embedded"
    PROMETHEUS = "Prometheus"


class Reply(NamedTuple):
    """An answer."""

    status: int
    body: bytes


class Memory(NamedTuple):
    """Bytes that the adapter has in memory: now, and at most since `Field.measure_anew`."""

    now: int
    most: int


class Field:
    """One adapter and its world, for one attack."""

    def __init__(self, folder: Path, source: Source, flags: Sequence[str], *, stepped: bool = False) -> None:
        self.folder, self.source = folder, source
        self.log = folder / "adapter.log"
        self._clock = folder / "clock"
        self.port, self.otlp_grpc, self.otlp_http = free_port(), free_port(), free_port()
        self._flags, self._stepped = flags, stepped
        self._count = 0
        self._made: list[str] = []
        """Paths of objects that attacks have made."""
        self._tls = client_context()
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def standing(self) -> Iterator["Field"]:
        """All of it started and the three pods' values served, until the end of the context."""
        with ExitStack() as stack:
            world = stack.enter_context(child("tests.attack.world", log=self.folder / "world.log"))
            assert world.stdout is not None
            ports = json.loads(world.stdout.readline())
            self.pages_port, self.kubernetes_port = ports["pages"], ports["kubernetes"]
            self._furnish()
            self.process = stack.enter_context(child(*self._command(), log=self.log))
            self._await_values()
            yield self

    def renew(self) -> None:
        """The world is as it was before any attack, and the three pods' values are served."""
        for path in self._made:
            with suppress(urllib.error.HTTPError):  # an attack may have deleted it
                self.kubernetes("DELETE", path)
        self._made.clear()
        self._put("anew", b"")
        self.set_clock(0)
        self._fill()
        self._await_values()

    @property
    def lives(self) -> bool:
        """Whether the adapter is still the process that was started."""
        return self.process is not None and self.process.poll() is None

    # ---- what an attacker may do

    def count(self) -> int:
        """0, 1, 2 …: for names and inputs that were not there before."""
        self._count += 1
        return self._count - 1

    def hold(self, seconds: float) -> None:
        """Let the input work for so long."""
        time.sleep(seconds)

    def page(self, pod: str, text: str | bytes, *, content_type: str = "text/plain", encoding: str = "") -> None:
        """From now on `pod` answers scrapes with this, after its queue's depth where `text` is not bytes."""
        body = text if isinstance(text, bytes) else f"queue_depth 7\n{text}".encode()
        self._put(f"pages/{pod}", body, {"X-Type": content_type, "X-Encoding": encoding})

    def series(self, more: Sequence[tuple[Mapping[str, str], str]]) -> None:
        """From now on Prometheus knows these too: labels and value."""
        self._put("series", json.dumps([*usual_series(), *more]).encode())

    def prometheus_answers(self, path: str, body: bytes, *, encoding: str = "") -> None:
        """From now on Prometheus answers this at /api/v1/`path`, whatever it is asked."""
        self._put(f"answers/{path}", body, {"X-Encoding": encoding})

    def prometheus_takes(self, seconds: float) -> None:
        """From now on Prometheus takes so long for each answer."""
        self._put("delay", str(seconds).encode())

    def prometheus_is_ahead(self, seconds: float) -> None:
        """From now on Prometheus' clock, and the times of all that it knows, are so far ahead of the machine's."""
        self._put("ahead", str(seconds).encode())

    def set_clock(self, ahead: float) -> None:
        """The adapter's wall clock is set to be so many s ahead of the machine's; see `Attack.stepped`."""
        self._clock.touch()
        with self._clock.open("r+b") as shown:  # in place: the adapter looks at these very bytes
            shown.write(struct.pack("d", ahead))

    def request_counts(self) -> dict[str, int]:
        """How often pages (/pages/NAME) and Prometheus' paths (/api/v1/PATH) were asked for."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.pages_port}/asked", timeout=10) as answer:
            counts: dict[str, int] = json.load(answer)
            return counts

    def kubernetes(self, method: str, path: str, manifest: Mapping[str, Any] | None = None) -> None:
        """Create (POST), replace (PUT) or delete (DELETE) an object by the path of Kubernetes' API."""
        name = manifest["metadata"]["name"] if manifest else ""
        self.send_to_kubernetes(method, path, None if manifest is None else json.dumps(manifest).encode(), name=name)

    def send_to_kubernetes(self, method: str, path: str, body: bytes | None, *, name: str = "") -> None:
        """The same with an object as it is written; `name` is that of a new one."""
        if method == "POST":
            self._made.append(f"{path}/{name}")
        url, headers = f"http://127.0.0.1:{self.kubernetes_port}{path}", {"Content-Type": "application/json"}
        request = urllib.request.Request(url, method=method, data=body, headers=headers)
        urllib.request.urlopen(request, timeout=10).close()

    def add_pod(self, name: str, **labels: str) -> None:
        """A pod of namespace shop; it is scraped where there is a page of its name."""
        self.kubernetes("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", pod(name, self.pages_port, labels))

    def add_hpa(self, name: str, metrics: Sequence[Mapping[str, Any]], namespace: str = NAMESPACE) -> None:
        """An HPA on Deployment web with these metrics, as its spec has them."""
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
        self.kubernetes("POST", path, hpa(name, namespace, metrics))

    def ask(self, path: str, token: str = TENANT, timeout: float = 30) -> Reply:
        """The answer to a tenant; '' as token: to a stranger."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self._tls) as answer:
                return Reply(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read())

    def connect(self, port: int = 0, tls: bool = True, timeout: float = 5) -> socket.socket:
        """A connection to the API's port, or another one of ours, that has said nothing yet."""
        plain = socket.create_connection(("127.0.0.1", port or self.port), timeout)
        return self._tls.wrap_socket(plain) if tls else plain

    # ---- what is measured

    def measure_anew(self) -> None:
        """Begin to look for the most memory from here."""
        assert self.process is not None
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def memory(self) -> Memory:
        """Of the adapter; of the end where it has ended."""
        assert self.process is not None
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return Memory(0, 0)
        fields = dict(line.split(":", 1) for line in status.splitlines())
        now, most = (int(fields.get(key, "0 kB").split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
        return Memory(now, most)

    # ---- how it is furnished

    def _command(self) -> list[str]:
        self.set_clock(0)
        program = ["tests.attack.stepped", str(self._clock)] if self._stepped else ["adapter"]
        return [*program, *self._arguments()]

    def _fill(self) -> None:
        for number, name in enumerate(PODS):
            self.page(name, f"queue_requests_total {number}\nshop_jobs 3\n")
        self.series(())

    def _furnish(self) -> None:
        self._fill()
        for name in PODS:
            self.add_pod(name, app="web")
        deployment = {
            "metadata": {"name": "web", "namespace": NAMESPACE},
            "spec": {"replicas": len(PODS), "selector": {"matchLabels": {"app": "web"}}},
        }
        self.kubernetes("POST", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", deployment)
        self.add_hpa("web", [pods_metric("queue_depth")])
        self._made.clear()  # all this stays

    def _arguments(self) -> list[str]:
        clients, proxies = trustme.CA(), trustme.CA()
        clients.cert_pem.write_to_path(self.folder / "clients.crt")
        proxies.cert_pem.write_to_path(self.folder / "proxies.crt")
        proxies.issue_cert(common_name="front-proxy-client").private_key_and_cert_chain_pem.write_to_path(
            self.folder / "proxy.pem"
        )
        (self.folder / "rules.yaml").write_text(RULES)
        config = {
            "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{self.kubernetes_port}"}}],
            "users": [{"name": "a", "user": {"token": "adapter"}}],
        }
        (self.folder / "kubeconfig").write_text(yaml.safe_dump(config))
        embedded = ["--scrape-interval=1s", "--scrape-timeout=900ms", "--otlp-bind-address=127.0.0.1"]
        embedded += [f"--otlp-grpc-port={self.otlp_grpc}", f"--otlp-http-port={self.otlp_http}"]
        prometheus = [f"--prometheus-url=http://127.0.0.1:{self.pages_port}", "--metrics-relist-interval=2s"]
        return [
            f"--lister-kubeconfig={self.folder / 'kubeconfig'}",
            f"--config={self.folder / 'rules.yaml'}",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--client-ca-file={self.folder / 'clients.crt'}",
            f"--requestheader-client-ca-file={self.folder / 'proxies.crt'}",
            "--authentication-skip-lookup",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--refresh-interval=1s",
            *(embedded if self.source is Source.EMBEDDED else prometheus),
            *self._flags,
        ]

    def _await_values(self) -> None:
        until(self._serves, 30, lambda: f"the adapter serves no values; its log:\n{self.log.read_text()[-3000:]}")

    def _serves(self) -> bool:
        assert self.lives, self.log.read_text()[-3000:]
        try:
            ready = self.ask("/readyz").status == 200
            return ready and self.ask(f"{CUSTOM}/namespaces/{NAMESPACE}/pods/*/queue_depth").body.count(b"web-") >= 3
        except OSError:
            return False

    def _put(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        url = f"http://127.0.0.1:{self.pages_port}/{path}"
        request = urllib.request.Request(url, data=body, method="PUT", headers=dict(headers or {}))
        urllib.request.urlopen(request, timeout=30).close()
