"""What a test does with a cluster, whosever it is: kubectl with a kubeconfig."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster.manifests import Manifest
from tests.cluster.processes import CommandError, run, wait_until


class Kubectl:
    """A cluster that a kubeconfig leads to. Calls raise CommandError with what kubectl said."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self.program, self.kubeconfig = program, kubeconfig

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = 120.0) -> str:
        """Runs kubectl as the cluster's administrator: its standard output."""
        return run([self.program, f"--kubeconfig={self.kubeconfig}", *arguments], stdin=stdin, seconds=seconds)

    def apply(self, objects: str | Path | Manifest | Sequence[Manifest]) -> str:
        """Applies YAML text, a file or folder, or objects, by server-side apply."""
        flags = ("apply", "--server-side", "--force-conflicts")
        if isinstance(objects, Path):
            return self.kubectl(*flags, "-f", str(objects))
        if not isinstance(objects, str):
            items = [objects] if isinstance(objects, dict) else list(objects)
            objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        return self.kubectl(*flags, "-f", "-", stdin=objects)

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, decoded."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def raw(self, path: str) -> Any:
        """`kubectl get --raw PATH`, decoded."""
        return json.loads(self.kubectl("get", "--raw", path))

    def names(self, resource: str, namespace: str | None = None, selector: str = "") -> list[str]:
        place = ["-n", namespace] if namespace else []
        return [item["metadata"]["name"] for item in self.get(resource, *place, "-l", selector)["items"]]

    def wait(self, target: str, condition: str, seconds: float, namespace: str | None = None) -> None:
        """`kubectl wait --for=CONDITION`, which here also waits for the object to appear."""
        place = ["-n", namespace] if namespace else []
        deadline = time.monotonic() + seconds
        wait_until(lambda: self._exists(target, place), seconds, every=0.2)
        left = max(1, round(deadline - time.monotonic()))
        self.kubectl("wait", *place, target, f"--for={condition}", f"--timeout={left}s", seconds=seconds + 30)

    def _exists(self, target: str, place: Sequence[str]) -> bool:
        try:
            self.kubectl("get", *place, target)
        except CommandError:
            return False
        return True

    def rollout(self, name: str, namespace: str, seconds: float = 60.0) -> None:
        """Waits until every replica of a Deployment is ready."""
        timeout = f"--timeout={seconds:.0f}s"
        self.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, timeout, seconds=seconds + 30)

    def create_namespace(self, name: str) -> None:
        self.kubectl("create", "namespace", name)
        self.wait_for_service_account(name)

    def wait_for_service_account(self, namespace: str, seconds: float = 30.0) -> None:
        """A pod is refused until the controller manager has made its namespace's ServiceAccount."""
        if not wait_until(lambda: self._exists("serviceaccount/default", ["-n", namespace]), seconds, every=0.1):
            raise TimeoutError(f"namespace {namespace} has no default ServiceAccount after {seconds:.0f} s")

    def delete_namespace(self, name: str) -> None:
        """Starts to delete it; everything in it goes with it, in the background."""
        self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def token(self, namespace: str, service_account: str, seconds: int = 3600) -> str:
        """A token of a ServiceAccount."""
        return self.kubectl("create", "token", service_account, "-n", namespace, f"--duration={seconds}s").strip()
