"""Who is compared: prometheus-adapter as it comes, the same with its client's limit raised, and our adapter."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from loadtest.adapter_bench.field import METRIC, Prometheus, Size
from loadtest.adapter_bench.figures import Process
from tests.cluster import binaries
from tests.cluster.adapter import API_SERVICES, CUSTOM, CUSTOM_API_SERVICES, USER, RunningAdapter
from tests.cluster.bed import Bed
from tests.cluster.certs import Pair
from tests.cluster.manifests import Manifest
from tests.cluster.processes import wait_until
from tests.cluster.prometheus import PER_SECOND

PEER = "prometheus-adapter"
READER = "bench-reader"


class Contender(NamedTuple):
    """`ours` or prometheus-adapter with these flags."""

    name: str
    ours: bool = False
    flags: tuple[str, ...] = ()


CONTENDERS = (
    Contender("pa"),
    Contender("pa-qps1000", flags=("--client-qps=1000", "--client-burst=2000")),
    Contender("streamgate", ours=True),
)


class Ours(RunningAdapter):
    """Our adapter; what both contenders share is here."""

    user = USER

    @property
    def process(self) -> Process:
        """For observation."""
        assert self._process is not None
        return Process("adapter", self._process.pid)

    @property
    def url(self) -> str:
        """Of the custom metrics API at its own port."""
        return f"https://{self.bed.host_address}:{self.port}{CUSTOM}"

    def wait_serving(self, size: Size, reader: Pair) -> None:
        """Until it answers for a Deployment that the measured requests leave out."""
        namespace, name = size.place(0)
        path = f"{CUSTOM}/namespaces/{namespace}/pods/*/{METRIC}?labelSelector=app%3D{name}"
        if not wait_until(lambda: _items(self, path, reader) == size.replicas, 60, every=0.5):
            reply = self.ask(path, reader)
            raise RuntimeError(f"no values: {reply.status} {reply.body[:300]!r}; its log ends\n{self.tail()}")


def _items(adapter: RunningAdapter, path: str, reader: Pair) -> int:
    reply = adapter.ask(path, reader)
    return len(reply.json["items"]) if reply.status == 200 else 0


class Peer(Ours):
    """prometheus-adapter, with the rights of its manifests."""

    user = f"system:serviceaccount:{PEER}:{PEER}"

    def __init__(self, bed: Bed, folder: Path, flags: Sequence[str]) -> None:
        super().__init__(bed, folder)
        identity = bed.kubeconfig_for(self.user, ("system:serviceaccounts", f"system:serviceaccounts:{PEER}"))
        program = binaries.find([PEER])[PEER]
        kubeconfigs = [f"--{kind}-kubeconfig={identity}" for kind in ("lister", "authentication", "authorization")]
        self._command = [
            *(str(program), *kubeconfigs, f"--secure-port={self.port}", f"--bind-address={bed.host_address}"),
            *(f"--cert-dir={folder / 'cert'}", "--metrics-relist-interval=1m", *flags),
        ]

    def install(self) -> None:
        """Rights, APIServices and the Service that leads to this process."""
        self.bed.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PEER}}])
        self.bed.apply([*peer_rights(), *map(_api_service, CUSTOM_API_SERVICES)])
        self.bed.expose_host_service(PEER, PEER, self.port, 443)


def peer_rights() -> list[Manifest]:
    """RBAC of prometheus-adapter's manifests for custom metrics."""
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": Peer.user}
    return [
        role(PEER, [""], ["nodes", "namespaces", "pods", "services"], ["get", "list", "watch"]),
        _binding("ClusterRoleBinding", PEER, "ClusterRole", PEER, user),
        _binding("ClusterRoleBinding", f"{PEER}-delegator", "ClusterRole", "system:auth-delegator", user),
        _binding(
            *("RoleBinding", f"{PEER}-reader", "Role", "extension-apiserver-authentication-reader", user),
            namespace="kube-system",
        ),
    ]


def reader_rights() -> list[Manifest]:
    """Of the load client and of the HPA controller: reading custom metrics."""
    readers = f"{READER}s"
    users: list[Manifest] = [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": READER},
        {"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system"},
    ]
    return [
        role(readers, ["custom.metrics.k8s.io"], ["*"], ["get", "list"]),
        _binding("ClusterRoleBinding", readers, "ClusterRole", readers, *users),
    ]


def role(name: str, groups: list[str], resources: list[str], verbs: list[str]) -> Manifest:
    """A ClusterRole with one rule."""
    rules = [{"apiGroups": groups, "resources": resources, "verbs": verbs}]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
    }  # fmt: skip


def _binding(kind: str, name: str, role_kind: str, of: str, *subjects: Manifest, **place: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, **place},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": of},
        "subjects": list(subjects),
    }


def _api_service(name: str) -> Manifest:
    version, group = name.split(".", 1)
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": {"v1beta1": 100, "v1beta2": 200}[version],
            "insecureSkipTLSVerify": True,
            "service": {"name": PEER, "namespace": PEER},
        },
    }


@contextmanager
def running(contender: Contender, bed: Bed, prometheus: Prometheus, folder: Path) -> Iterator[Ours]:
    """The contender behind the aggregator; ended afterwards, with its APIServices."""
    folder.mkdir(parents=True, exist_ok=True)
    rules = folder / "config.yaml"
    rules.write_text(PER_SECOND.format(window="1m"))
    usual = [f"--config={rules}", f"--prometheus-url={prometheus.url}", *contender.flags]
    adapter = Ours(bed, folder, usual, "prometheus") if contender.ours else Peer(bed, folder, usual)
    try:
        adapter.install()
        adapter.start()
        adapter.wait_available(names=CUSTOM_API_SERVICES)
        yield adapter
    finally:
        adapter.end()
        bed.kubectl("delete", "apiservices", *API_SERVICES, "--ignore-not-found")


def tls(bed: Bed, pair: Pair) -> ssl.SSLContext:
    """A client's context with that certificate; servers here have certificates of their own making."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(pair.cert, pair.key)
    return context
