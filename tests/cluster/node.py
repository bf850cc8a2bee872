"""Real nodes: containerd, kubelet and kube-proxy of each in namespaces of their own.

A node's holder process keeps a mount, a network and a pid namespace and is process 1 of the latter: when it ends, the
kernel ends everything on the node, and mounts, interfaces and iptables rules go with the namespaces. On the host remain
a folder and empty cgroups, which `remove_cgroups` takes away.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tests.cluster import network
from tests.cluster.controlplane import Plane
from tests.cluster.network import Place, places
from tests.cluster.processes import Folder, Process, children, run

CGROUP = "streamgate-bed"
CGROUPS = Path("/sys/fs/cgroup")
# Folders that containerd, runc and CNI fill below fixed paths: the node sees empty ones of its own.
PRIVATE = ("/run", "/var/lib", "/var/log")
# kubelet insists on these settings of the whole machine. It finds them as it likes, in files that only the node sees.
TUNABLES: Mapping[str, int] = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
COMPONENTS = ("containerd", "kubelet", "kube-proxy")


@dataclass(frozen=True)
class Node:
    """The node's files below `folder`; `programs` holds the paths of packages.NODE, kubelet and kube-proxy."""

    place: Place
    others: Sequence[Place]
    folder: Path
    plane: Plane
    programs: Mapping[str, Path]
    processes: Folder

    @property
    def socket(self) -> Path:
        return self.folder / "containerd.sock"

    def hold(self) -> Process:
        """Starts the holder and connects its network."""
        private = [path for path in PRIVATE if str(self.folder).startswith(f"{path}/")]
        if private:
            raise RuntimeError(f"the bed's folder {self.folder} must not stand below {private[0]}: the node hides that")
        flags = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave"]
        holder = self.processes.start(self.place.of("node"), ["unshare", *flags, "--", "sh", "-c", self._setup()])
        mark = self.folder / "ready"
        self.processes.wait_ready(holder, mark.exists, 10)
        network.join(self.programs["ip"], self.inner(holder).pid, self.place, self.others)
        return holder

    def _setup(self) -> str:
        """The holder's script; ignoring SIGCHLD makes the kernel reap the node's orphans."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = ["set -e", "mount --make-rshared /"]
        lines += [f"mount -t tmpfs -o mode=755 streamgate-bed {path}" for path in PRIVATE]
        for name, value in TUNABLES.items():
            file = self.folder / name.replace("/", "_")
            file.write_text(f"{value}\n")
            lines.append(f"if [ -e /proc/sys/{name} ]; then mount --bind '{file}' /proc/sys/{name}; fi")
        lines += [f"touch '{self.folder}/ready'", "trap '' CHLD", "exec sleep infinity"]
        return "\n".join(lines)

    def inner(self, holder: Process) -> Process:
        """Process 1 of the node, whose namespaces the others enter."""
        (inner,) = children(holder)
        return inner

    def enter(self) -> list[str]:
        """The words before a command that shall run on the node."""
        holder = self.processes.get(self.place.of("node"))
        if holder is None or not holder.alive:
            raise RuntimeError(f"the bed has no {self.place.name} running")
        return ["nsenter", "--target", str(self.inner(holder).pid), "--mount", "--net", "--pid", "--"]

    def argv(self, component: str) -> list[str]:
        """The command of one of COMPONENTS, without the part that enters the node."""
        program = str(self.programs[component])
        if component == "containerd":
            return [program, "--config", str(self.folder / "containerd.toml")]
        if component == "kube-proxy":
            return [program, f"--config={self.folder / 'kube-proxy.json'}", "--v=2"]
        identity = self.plane.kubeconfig(self.place.of("kubelet"))
        return [
            program, f"--config={self.folder / 'kubelet.json'}", f"--kubeconfig={identity}",
            f"--root-dir={self.folder / 'kubelet'}", f"--cert-dir={self.folder / 'kubelet' / 'pki'}",
            f"--hostname-override={self.place.name}", f"--node-ip={self.place.address}", "--v=2",
        ]  # fmt: skip

    def write_files(self) -> None:
        (self.folder / "cni").mkdir(parents=True, exist_ok=True)
        (self.folder / "resolv.conf").write_text("")
        (self.folder / "containerd.toml").write_text(self._containerd())
        (self.folder / "cni" / "10-bed.conflist").write_text(json.dumps(self._cni(), indent=1))
        (self.folder / "kubelet.json").write_text(json.dumps(self._kubelet(), indent=1))
        (self.folder / "kube-proxy.json").write_text(json.dumps(self._kube_proxy(), indent=1))

    def _containerd(self) -> str:
        left_out = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in ("aufs", "btrfs", "devmapper", "zfs"))
        cri = 'plugins."io.containerd.grpc.v1.cri"'
        file_system = run(["stat", "--file-system", "--format=%T", self.folder]).strip()
        # overlayfs cannot stand on overlayfs, which is what a container's own root mostly is
        snapshotter = "native" if file_system == "overlayfs" else "overlayfs"
        return f"""version = 2
root = "{self.folder / "containerd"}"
state = "{self.folder / "state"}"
disabled_plugins = [{left_out}]
[grpc]
address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{self.folder / "opt"}"
[{cri}]
sandbox_image = "docker.io/library/streamgate-pause:test"
restrict_oom_score_adj = true
disable_apparmor = true
[{cri}.cni]
bin_dir = "{self.programs["host-local"].parent}"
conf_dir = "{self.folder / "cni"}"
[{cri}.containerd]
snapshotter = "{snapshotter}"
default_runtime_name = "runc"
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
BinaryName = "{self.programs["runc"]}"
SystemdCgroup = false
"""

    def _cni(self) -> dict[str, Any]:
        ranges = [[{"subnet": self.place.pods}]]
        bridge = {
            "type": "bridge", "bridge": "cni0", "isGateway": True, "isDefaultGateway": True, "hairpinMode": True,
            "ipMasq": False, "ipam": {"type": "host-local", "dataDir": str(self.folder / "ipam"), "ranges": ranges},
        }  # fmt: skip
        return {"cniVersion": "0.4.0", "name": "streamgate-bed", "plugins": [bridge]}

    def _kubelet(self) -> dict[str, Any]:
        serving = self.plane.pki / self.place.of("kubelet-serving")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.plane.ca.cert)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{serving}.crt",
            "tlsPrivateKeyFile": f"{serving}.key",
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "resolvConf": str(self.folder / "resolv.conf"),
            "podLogsDir": str(self.folder / "pods"),
            "volumePluginDir": str(self.folder / "volume-plugins"),
            "clusterDomain": "cluster.local",
            "cgroupRoot": f"/{self.place.of(CGROUP)}",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "evictionHard": {},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "maxPods": 240,
            "kubeAPIQPS": 100,
            "kubeAPIBurst": 200,
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
        }

    def _kube_proxy(self) -> dict[str, Any]:
        # Zero leaves the machine's connection tracking as it is.
        conntrack = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(self.plane.kubeconfig("kube-proxy"))},
            "clusterCIDR": network.PODS,
            "hostnameOverride": self.place.name,
            "conntrack": conntrack,
            "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        }

    def import_image(self, tar: Path) -> None:
        run([self.programs["ctr"], "--address", self.socket, "--namespace", "k8s.io", "image", "import", tar])


class Nodes(tuple[Node, ...]):
    """All real nodes of a bed; programs of any but the first carry its number in their names: `kubelet-2`."""

    __slots__ = ()

    @classmethod
    def of(cls, count: int, folder: Path, plane: Plane, programs: Mapping[str, Path], processes: Folder) -> "Nodes":
        """That many nodes, with their files below `folder`."""
        everywhere = places(count)
        return cls(
            Node(place, [other for other in everywhere if other != place], folder / place.of("node"), plane, programs,
                 processes)
            for place in everywhere
        )  # fmt: skip

    def components(self, *names: str) -> list[str]:
        """Of every node, one kind of program after the other."""
        return [each.place.of(name) for name in names for each in self]

    def hold(self) -> None:
        """Each gets its namespaces, its network and its files."""
        for each in self:
            each.hold()
            each.write_files()

    def words(self, component: str) -> list[str] | None:
        """The command of a node's program, as typed on the host; None where `component` is none of theirs."""
        match = self._find(component)
        return [*match[0].enter(), *match[0].argv(match[1])] if match else None

    def socket(self, component: str) -> Path | None:
        """The socket of a containerd; None where `component` is none."""
        match = self._find(component)
        return match[0].socket if match and match[1] == "containerd" else None

    @property
    def health(self) -> dict[str, str]:
        """Where each kubelet says that it is well."""
        return {each.place.of("kubelet"): f"https://{each.place.address}:10250/healthz" for each in self}

    def import_image(self, tar: Path) -> None:
        """Gives all of them an image out of a docker archive."""
        for each in self:
            each.import_image(tar)

    def _find(self, component: str) -> tuple[Node, str] | None:
        """The node whose program this is, and what it is called on the first."""
        return next(((each, name) for each in self for name in COMPONENTS if each.place.of(name) == component), None)


def make_cgroups(count: int) -> None:
    """The cgroups below which the kubelets put their pods, in every hierarchy that is there."""
    if (CGROUPS / "cgroup.controllers").exists():
        for controller in ("cpuset", "cpu", "memory", "pids", "hugetlb"):
            with suppress(OSError):  # not every kernel has each
                (CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
    for hierarchy, place in product(_hierarchies(), places(count)):
        folder = hierarchy / place.of(CGROUP)
        folder.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # cgroup v1: a new cpuset is empty and takes no process
            with suppress(OSError):
                (folder / file).write_text((hierarchy / file).read_text())


def remove_cgroups() -> bool:
    """Removes them, deepest first; False while processes are still on their way out."""
    left = False
    for hierarchy, place in product(_hierarchies(), places(network.MOST_NODES)):
        root = hierarchy / place.of(CGROUP)
        folders = [path for path in root.rglob("*") if path.is_dir()]
        for folder in sorted([*folders, root], key=lambda path: len(path.parts), reverse=True):
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass  # not every hierarchy has it, and without a node none
            except OSError:
                left = True
    return not left


def _hierarchies() -> Sequence[Path]:
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]
