"""The test bed: a real Kubernetes control plane and real nodes, as processes of this machine.

`Bed.up()` starts it and `Bed.down()` leaves nothing behind; both work from different processes, because all that they
need to know stands in the bed's folder. There is one bed on a machine at a time.
"""

import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tests.cluster import binaries, images, manifests, network, node
from tests.cluster.certs import Authority, Pair
from tests.cluster.controlplane import Plane, Ports
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import Manifest
from tests.cluster.processes import CommandError, Folder, Process, end_all, start_time, strays, wait_until
from tests.cluster.state import BedError, BusyError, Options, State, default_folder, find_programs, locked, only_one

__all__ = ["Bed", "BedError", "BusyError", "CommandError", "Options"]

KEPT_LOGS = 5  # of failed beds


class Bed(Kubectl):
    """A bed that is up."""

    def __init__(self, folder: Path) -> None:
        try:
            state = State.read(folder / "state.json")
        except FileNotFoundError as error:
            raise BedError(f"no bed is up in {folder}; `python -m tests.cluster up` starts one") from error
        self.folder, self.options = folder, state.options
        self.programs = {name: Path(path) for name, path in state.programs.items()}
        self.plane = Plane(folder, state.ports)
        self.processes = Folder(folder)
        self.logs = self.processes.logs
        self.nodes = node.Nodes.of(state.options.nodes, folder, self.plane, self.programs, self.processes)
        self.host_address = network.HOST
        super().__init__(self.programs["kubectl"], self.plane.kubeconfig("admin"))

    # -- life -----------------------------------------------------------------------------------------------------

    @classmethod
    def up(
        cls, options: Options | None = None, folder: Path | None = None, say: Callable[[str], None] = print
    ) -> "Bed":
        """Starts a bed and waits until it is ready; takes down what it started when that fails, and keeps the logs."""
        options, folder = options or Options(), (folder or default_folder()).absolute()
        with only_one(folder):
            programs = find_programs(options, say)
            folder.mkdir(parents=True, exist_ok=True)
            state = State(options, Ports.free(), {name: str(path) for name, path in programs.items()})
            state.write(folder / "state.json")
            bed = cls(folder)
            began = time.monotonic()
            try:
                bed._start_all()
            except BaseException:
                bed._down(keep_logs=True, say=say)
                raise
            say(f"the bed is up after {time.monotonic() - began:.1f} s")
        return bed

    @classmethod
    def attach(cls, folder: Path | None = None) -> "Bed":
        """The bed that is up already. BedError when there is none."""
        bed = cls((folder or default_folder()).absolute())
        server = bed.processes.get("kube-apiserver")
        if server is None or not server.alive:
            raise BedError(f"the bed in {bed.folder} is broken; `python -m tests.cluster down` clears it away")
        return bed

    def down(self, keep_logs: bool = False, say: Callable[[str], None] = print, force: bool = False) -> None:
        """Ends what the bed started and removes every trace; `keep_logs` moves the logs to a folder that it says.

        Raises BusyError when the bed belongs to another process that still lives, unless `force` is given.
        """
        owner = self.owner()
        if owner is not None and owner.alive and owner.pid != os.getpid() and not force:
            raise BusyError(
                f"the bed belongs to process {owner.pid} ({owner.name}), which still runs; `--force` all the same"
            )
        with locked():
            self._down(keep_logs, say)

    def claim(self, name: str) -> None:
        """Makes the bed this process's own: while it lives, nobody else takes the bed down by mistake."""
        mine = Process(name, os.getpid(), start_time(os.getpid()) or 0, os.devnull, ())
        (self.folder / "owner.json").write_text(json.dumps(asdict(mine)))

    def owner(self) -> Process | None:
        """Who claimed the bed."""
        try:
            return Process(**json.loads((self.folder / "owner.json").read_bytes()))
        except FileNotFoundError:
            return None

    def _start_all(self) -> None:
        network.up(self.programs["ip"])
        self.plane.write_files(self.options.nodes)
        self.start("etcd")
        self._launch("kube-apiserver")
        if self.nodes:
            self._start_nodes()
        self._wait("kube-apiserver")
        for component in ("kube-controller-manager", "kube-scheduler"):
            self._launch(component)
        for component in self.nodes.components("kubelet", "kube-proxy"):
            self._launch(component)
        for component in ("kube-controller-manager", "kube-scheduler"):
            self._wait(component)
        if self.options.fake_nodes:
            self.add_fake_nodes(self.options.fake_nodes)
        if self.nodes:
            self._wait_for_nodes(len(self.nodes))
        self.wait_for_service_account("default")

    def _start_nodes(self) -> None:
        """While the API server starts: the nodes' namespaces, containerd and the images."""
        node.make_cgroups(len(self.nodes))
        self.nodes.hold()
        for component in self.nodes.components("containerd"):
            self.start(component)
        for image in (images.pause(self.programs["busybox"]), images.sample(self.programs["busybox"])):
            self.nodes.import_image(image)

    def _down(self, keep_logs: bool, say: Callable[[str], None]) -> None:
        # No patience: what they would tidy up goes with the node's namespaces and the folder.
        for component in self.nodes.components("kubelet", "node"):
            self.processes.stop(component, 0)
        end_all(self.processes.all(), 0)
        end_all(strays(str(self.folder)), 0)
        network.down(self.programs["ip"])
        if not wait_until(node.remove_cgroups, 10):
            say(f"cgroups named {node.CGROUP} are still busy")
        if keep_logs:
            say(f"logs are kept in {self._keep_logs()}")
        shutil.rmtree(self.folder)

    def _keep_logs(self) -> Path:
        kept = self.folder.with_name(f"{self.folder.name}-logs") / time.strftime("%Y%m%d-%H%M%S")
        kept.mkdir(parents=True, exist_ok=True)
        if self.logs.exists():
            shutil.copytree(self.logs, kept, dirs_exist_ok=True)
        for each in self.nodes:
            with suppress(shutil.Error, FileNotFoundError):
                shutil.copytree(each.folder / "pods", kept / each.place.of("pods"), symlinks=True)
        for old in sorted(kept.parent.iterdir())[:-KEPT_LOGS]:
            shutil.rmtree(old, ignore_errors=True)
        return kept

    # -- programs -------------------------------------------------------------------------------------------------

    def start(self, component: str, *flags: str) -> None:
        """Starts one program and waits until it is ready; `flags` replace the extra ones of the bed's options."""
        self._launch(component, *flags)
        self._wait(component)
        if component == "kube-apiserver":
            self._revive()

    def _revive(self) -> None:
        """Starts what ended because the API server was away, as kubelet does for a control plane of static pods."""
        for process in self.processes.all():
            if not process.alive:
                self.processes.again(process)
                self._wait(process.name)

    def stop(self, component: str, kill: bool = False) -> None:
        """Ends one program: by SIGTERM, or at once with `kill`, as when its machine fails."""
        # The API server would wait a minute for its watches to end.
        self.processes.stop(component, 0 if kill else 2 if component == "kube-apiserver" else 20)

    def restart(self, component: str, *flags: str) -> None:
        """Stop and start; `flags` replace the extra ones, so that `restart(name)` goes back to the bed's options."""
        self.stop(component)
        self.start(component, *flags)

    def _launch(self, component: str, *flags: str) -> Process:
        extra = list(flags) or self.options.flags.get(component, [])
        if (words := self.nodes.words(component)) is not None:
            return self.processes.start(component, [*words, *extra])
        return self.processes.start(component, [self.programs[component], *self.plane.flags(component), *extra])

    def _wait(self, component: str) -> None:
        process = self.processes.get(component)
        assert process is not None, component
        self.processes.wait_ready(process, lambda: self._ready(component), 60)

    def _ready(self, component: str) -> bool:
        ports = self.plane.ports
        if (socket := self.nodes.socket(component)) is not None:
            return socket.exists()
        scheduler_health = "healthz" if self.options.kubernetes else "readyz"  # which none has before 1.31
        urls = {
            "etcd": f"http://127.0.0.1:{ports.etcd}/readyz",
            "kube-apiserver": f"{self.plane.url}/readyz",
            "kube-controller-manager": f"https://127.0.0.1:{ports.controller_manager}/healthz?verbose",
            "kube-scheduler": f"https://127.0.0.1:{ports.scheduler}/{scheduler_health}",
            "kwok": f"http://127.0.0.1:{ports.kwok}/readyz",
            **self.nodes.health,
        }
        # The controller manager answers ok before it has built its controllers; then it lists them.
        word = "replicaset-controller ok" if component == "kube-controller-manager" else ""
        return component not in urls or self._answers(urls[component], word)

    def _answers(self, url: str, word: str) -> bool:
        context = None
        if url.startswith("https"):
            context = ssl.create_default_context(cafile=self.plane.ca.cert)
            context.load_cert_chain(self.plane.pki / "admin-client.crt", self.plane.pki / "admin-client.key")
        try:
            with urllib.request.urlopen(url, timeout=5, context=context) as answer:
                return bool(answer.status == 200) and word.encode() in answer.read()
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False

    # -- identities -----------------------------------------------------------------------------------------------

    @property
    def ca(self) -> Path:
        """The cluster's CA certificate; client certificates by `certificate` are signed by it."""
        return self.plane.ca.cert

    @property
    def front_proxy_ca(self) -> Path:
        """The CA certificate of the aggregator's client certificate."""
        return self.plane.front_proxy_ca.cert

    @property
    def front_proxy(self) -> Pair:
        """The aggregator's own client certificate and key."""
        return Pair(self.plane.pki / "front-proxy-client.crt", self.plane.pki / "front-proxy-client.key")

    def rotate_front_proxy_ca(self) -> Authority:
        """A new front-proxy CA and client certificate; the API server starts anew with them and publishes them."""
        authority = self.plane.front_proxy_ca
        authority.renew()
        self.plane.issue_front_proxy()
        self.restart("kube-apiserver")
        return authority

    def certificate(self, user: str, groups: Sequence[str] = (), hosts: Sequence[str] = ()) -> Pair:
        """A client certificate of the cluster's CA, and a serving one too when `hosts` are given: paths .cert, .key."""
        file = "".join(letter if letter.isalnum() else "-" for letter in user)
        return self.plane.ca.issue(f"made-{file}-{time.monotonic_ns()}", user, groups, hosts)

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig of its own for `user`."""
        pair = self.certificate(user, groups)
        return self.plane.write_kubeconfig(pair.cert.stem, pair)

    # -- the nodes -------------------------------------------------------------------------------------------------

    def expose_host_service(self, namespace: str, name: str, port: int, service_port: int | None = None) -> None:
        """A Service in the cluster for a process that listens on `host_address`:`port` of this machine."""
        made = manifests.host_service(name, namespace, self.host_address, port, service_port or port)
        # aggregators of old look for Endpoints, which the controllers mirror into slices
        self.apply(manifests.of_endpoints(made) if self.options.kubernetes else made)

    def import_image(self, tar: Path) -> None:
        """Gives every node an image out of a docker archive."""
        if not self.nodes:
            raise BedError("this bed has no real node")
        self.nodes.import_image(tar)

    def add_fake_nodes(self, count: int) -> None:
        """Starts kwok when it does not run yet, and adds nodes that it plays: pods there run at once, as objects."""
        running = self.processes.get("kwok")
        if running is None or not running.alive:
            self.programs.update(binaries.find(["kwok"]))
            self.start("kwok")
        present = len(self.names("nodes", selector="type=kwok"))
        nodes: list[Manifest] = [
            manifests.fake_node(f"fake-{number}", bool(self.nodes)) for number in range(present, present + count)
        ]
        self.apply(nodes)
        self._wait_for_nodes(present + count + len(self.nodes))

    def _wait_for_nodes(self, count: int) -> None:
        """Until so many take pods: ready, and the controller manager has seen it and lifted its taint."""

        def ready() -> bool:
            taints = [item["spec"].get("taints", []) for item in self.get("nodes")["items"]]
            return sum(not any("not-ready" in taint["key"] for taint in of_one) for of_one in taints) >= count

        if not wait_until(ready, 60, every=0.2):
            raise TimeoutError(f"fewer than {count} nodes are ready after 60 s:\n{self.kubectl('get', 'nodes')}")

    def status(self) -> dict[str, str]:
        """Each program and whether it runs."""
        return {one.name: f"pid {one.pid}" if one.alive else "ended" for one in self.processes.all()}
