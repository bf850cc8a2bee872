"""What disturbs a Deployment of the bed without changing its load. Each returns when all pods are ready again."""

import json
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from loadtest.pods import PodsLoad
from tests.cluster.bed import Bed
from tests.cluster.manifests import PORT
from tests.cluster.processes import wait_until

REPLICAS = 3
PATIENCE_S = 180.0


class Lane(NamedTuple):
    """One Deployment `web` in a namespace of its own, with its load."""

    bed: Bed
    namespace: str
    load: PodsLoad

    def pods(self) -> list[dict[str, Any]]:
        """Those that are not being deleted, sorted by name."""
        pods = self.bed.get("pods", "-n", self.namespace, "-l", "app=web")["items"]
        living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return sorted(living, key=lambda pod: str(pod["metadata"]["name"]))

    def wait_ready(self) -> None:
        """Until the Deployment is complete. Raises RuntimeError."""
        if not wait_until(self._complete, PATIENCE_S, every=0.5):
            raise RuntimeError(f"the Deployment of {self.namespace} is not complete after {PATIENCE_S:g} s")

    def _complete(self) -> bool:
        deployment = self.bed.get("deployment", "web", "-n", self.namespace)
        status, wanted = deployment["status"], deployment["spec"]["replicas"]
        counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
        return status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == [wanted] * 3

    def fault(self, pod: dict[str, Any], query: str) -> None:
        """Ask the sample service in a pod for a fault; a process that ends does not answer."""
        request = urllib.request.Request(f"http://{pod['status']['podIP']}:{PORT}/fault?{query}", method="POST")
        try:
            with urllib.request.urlopen(request, timeout=5):
                pass
        except OSError:
            if "crash" not in query:
                raise


def rollout(lane: Lane, *, surge: str, unavailable: str, ready_after: float) -> None:
    """A rolling update to pods that take so long to be ready."""
    container = {"name": "sample", "env": [{"name": name, "value": value} for name, value in _env(ready_after)]}
    strategy = {"rollingUpdate": {"maxSurge": _number(surge), "maxUnavailable": _number(unavailable)}}
    spec = {"strategy": strategy, "template": {"spec": {"containers": [container]}}}
    lane.bed.kubectl("patch", "deployment", "web", "-n", lane.namespace, "-p", json.dumps({"spec": spec}))
    lane.wait_ready()


def _env(ready_after: float) -> list[tuple[str, str]]:
    return [("STARTUP_S", f"{ready_after:g}"), ("ROUND", f"{time.time_ns()}")]


def _number(text: str) -> int | str:
    return text if text.endswith("%") else int(text)


def delete(lane: Lane) -> None:
    """A pod is deleted."""
    lane.bed.kubectl("delete", "pod", lane.pods()[0]["metadata"]["name"], "-n", lane.namespace, "--wait=false")
    time.sleep(1)
    lane.wait_ready()


def evict(lane: Lane) -> None:
    """A pod is evicted, as by a drain of its node."""
    name = lane.pods()[-1]["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": lane.namespace}}
    path = f"/api/v1/namespaces/{lane.namespace}/pods/{name}/eviction"
    lane.bed.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    time.sleep(1)
    lane.wait_ready()


def crash(lane: Lane, *, times: int) -> None:
    """A container of one pod ends at once and is started again; after the second time the kubelet waits before."""
    pod = lane.pods()[0]
    for _ in range(times):
        lane.fault(pod, "crash=1")
        time.sleep(2)
        lane.wait_ready()
        time.sleep(8)


def flap(lane: Lane, *, seconds: float, times: int) -> None:
    """A pod is not ready for so long, some times."""
    pod = lane.pods()[0]
    for _ in range(times):
        lane.fault(pod, f"unready_s={seconds:g}")
        time.sleep(2 * seconds + 5)
    lane.wait_ready()


def move(lane: Lane) -> None:
    """Half of one pod's requests go to another for a minute, and back."""
    one, other, *_ = (str(pod["metadata"]["name"]) for pod in lane.pods())
    lane.load.shares.update({one: 0.5, other: 1.5})
    time.sleep(60)
    lane.load.shares.clear()


Disturb = Callable[[Lane], None]
DISTURBANCES: dict[str, Disturb] = {
    **{
        f"rollout {surge}/{unavailable}, ready after {seconds:g} s": partial(
            rollout, surge=surge, unavailable=unavailable, ready_after=seconds
        )
        for surge, unavailable in (("1", "0"), ("25%", "25%"), ("1", "1"))
        for seconds in (0, 5, 20)
    },
    "deleted pod": delete,
    "evicted pod": evict,
    "second crash": partial(crash, times=2),
    "crash loop": partial(crash, times=3),
    "readiness flaps": partial(flap, seconds=8, times=3),
    "load moves": move,
}
SHORT = ("rollout 1/0, ready after 5 s", "rollout 1/1, ready after 20 s", "second crash", "load moves")
"""Of the part that `.ci/run` runs: the four that moved an HPA most often."""
