"""The control plane's configuration: which flags each program gets. Pure but for the files of `write_files`."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import network
from tests.cluster.certs import Authority, Pair, service_account_keys

# user and groups of each kubeconfig; the names are those that RBAC's own bootstrap policy binds
USERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "admin": ("kubernetes-admin", ("system:masters",)),
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "kube-proxy": ("system:kube-proxy", ()),
    "kwok": ("kwok", ("system:masters",)),
}
STAGES = Path(__file__).with_name("kwok.yaml")
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True)
class Ports:
    etcd: int
    etcd_peer: int
    api_server: int
    controller_manager: int
    scheduler: int
    kwok: int

    @classmethod
    def free(cls) -> "Ports":
        return cls(*network.free_ports(6, "0.0.0.0"))


@dataclass(frozen=True)
class Plane:
    """Where the control plane's files stand and its ports."""

    folder: Path
    ports: Ports

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def url(self) -> str:
        return f"https://{network.HOST}:{self.ports.api_server}"

    @property
    def ca(self) -> Authority:
        return Authority(self.pki, "ca")

    @property
    def front_proxy_ca(self) -> Authority:
        return Authority(self.pki, "front-proxy-ca")

    def kubeconfig(self, user: str) -> Path:
        return self.folder / f"{user}.kubeconfig"

    def write_files(self, nodes: int) -> None:
        """Every certificate and kubeconfig that the programs want, of so many nodes."""
        names = ["localhost", "127.0.0.1", network.HOST, network.API_SERVICE, "kubernetes.default.svc"]
        self.ca.issue("kube-apiserver", "kube-apiserver", hosts=names)
        self.ca.issue("kube-apiserver-kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",))
        for program in ("kube-controller-manager", "kube-scheduler"):
            self.ca.issue(program, program, hosts=["localhost", "127.0.0.1"])
        service_account_keys(self.pki)
        self.issue_front_proxy()
        for user, (name, groups) in USERS.items():
            self.write_kubeconfig(user, self.ca.issue(f"{user}-client", name, groups))
        for place in network.places(nodes):
            self._write_kubelet(place)

    def _write_kubelet(self, place: network.Place) -> None:
        user, groups, name = f"system:node:{place.name}", ("system:nodes",), place.of("kubelet")
        self.ca.issue(place.of("kubelet-serving"), user, groups, [place.address, place.name])
        self.write_kubeconfig(name, self.ca.issue(f"{name}-client", user, groups))

    def issue_front_proxy(self) -> None:
        """The aggregator's client certificate: like kubeadm's, without any subject alternative name."""
        self.front_proxy_ca.issue("front-proxy-client", "front-proxy-client")

    def write_kubeconfig(self, user: str, pair: Pair) -> Path:
        path = self.kubeconfig(user)
        path.touch(mode=0o600)
        path.write_text(json.dumps(kubeconfig(self.url, self.ca.cert, pair), indent=1))
        return path

    def _pair(self, name: str, cert_flag: str, key_flag: str) -> list[str]:
        return [f"--{cert_flag}={self.pki / name}.crt", f"--{key_flag}={self.pki / name}.key"]

    def etcd(self) -> list[str]:
        url, peer = f"http://127.0.0.1:{self.ports.etcd}", f"http://127.0.0.1:{self.ports.etcd_peer}"
        return [
            f"--data-dir={self.folder / 'etcd'}", "--name=bed", f"--initial-cluster=bed={peer}",
            f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            "--unsafe-no-fsync", "--watch-progress-notify-interval=5s",
        ]  # fmt: skip

    def kube_apiserver(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self.ports.etcd}", "--etcd-prefix=/registry",
            f"--bind-address={network.HOST}", f"--advertise-address={network.HOST}",
            f"--secure-port={self.ports.api_server}", f"--service-cluster-ip-range={network.SERVICES}",
            *self._pair("kube-apiserver", "tls-cert-file", "tls-private-key-file"),
            f"--client-ca-file={self.ca.cert}", "--authorization-mode=Node,RBAC", "--allow-privileged=true",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self.pki / 'service-account.pub'}",
            f"--service-account-signing-key-file={self.pki / 'service-account.key'}",
            # the aggregation layer
            f"--requestheader-client-ca-file={self.front_proxy_ca.cert}",
            "--requestheader-allowed-names=front-proxy-client", "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            *self._pair("front-proxy-client", "proxy-client-cert-file", "proxy-client-key-file"),
            "--enable-aggregator-routing=true",
            # the node
            *self._pair("kube-apiserver-kubelet-client", "kubelet-client-certificate", "kubelet-client-key"),
            f"--kubelet-certificate-authority={self.ca.cert}", "--kubelet-preferred-address-types=InternalIP",
        ]  # fmt: skip

    def kube_controller_manager(self) -> list[str]:
        name, port = "kube-controller-manager", self.ports.controller_manager
        return [
            *self._clients(name, port),
            f"--root-ca-file={self.ca.cert}",
            f"--service-account-private-key-file={self.pki / 'service-account.key'}",
            *self._pair("ca", "cluster-signing-cert-file", "cluster-signing-key-file"),
            "--use-service-account-credentials=true",
        ]

    def kube_scheduler(self) -> list[str]:
        return self._clients("kube-scheduler", self.ports.scheduler)

    def _clients(self, name: str, port: int) -> list[str]:
        file = self.kubeconfig(name)
        return [
            f"--kubeconfig={file}", f"--authentication-kubeconfig={file}", f"--authorization-kubeconfig={file}",
            "--bind-address=127.0.0.1", f"--secure-port={port}", "--leader-elect=false",
            *self._pair(name, "tls-cert-file", "tls-private-key-file"),
        ]  # fmt: skip

    def kwok(self) -> list[str]:
        """Fake nodes are those with kwok's annotation, so that it lets the real one alone."""
        return [
            f"--config={STAGES}", f"--kubeconfig={self.kubeconfig('kwok')}", f"--cidr={network.FAKE_PODS}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            f"--server-address=127.0.0.1:{self.ports.kwok}", "--node-lease-duration-seconds=40",
        ]  # fmt: skip

    def flags(self, component: str) -> list[str]:
        """The flags of one of COMPONENTS or of kwok."""
        flags: list[str] = getattr(self, component.replace("-", "_"))()
        return flags


def kubeconfig(url: str, ca: Path, pair: Pair) -> dict[str, Any]:
    """A kubeconfig that holds its certificates itself, so that it can be carried elsewhere."""

    def data(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bed", "cluster": {"server": url, "certificate-authority-data": data(ca)}}],
        "users": [
            {"name": "bed", "user": {"client-certificate-data": data(pair.cert), "client-key-data": data(pair.key)}}
        ],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": "bed"}}],
        "current-context": "bed",
    }
