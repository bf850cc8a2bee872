"""`make demo`: a load step, the HPA's answer, a good canary promoted, a bad one rolled back; told while it happens.

The load is Locust's scenario `demo`; releases are edits of the Deployment's template, judged by the rollout controller.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from loadtest.rollout_bench.releases import BAD_RATE, GOOD_RATE, STRATEGIES, last_number
from loadtest.runs.cluster import Place
from loadtest.runs.local import LOW, SCRAPE
from loadtest.runs.on_bed import NAME, address, describe, new_name, scale
from loadtest.runs.record import Kind
from loadtest.runs.scenarios import SCENARIOS
from loadtest.runs.world import World
from loadtest.standalone import METRIC
from tests.cluster.adapter import CUSTOM_API_SERVICES, hpa, pods_metric, running_adapter
from tests.cluster.bed import Bed
from tests.cluster.kubectl import Kubectl
from tests.cluster.rollout import Shop, running_controller

SCENARIO: Final = SCENARIOS["demo"]
PER_POD: Final = 80
"""The HPA's target on the test bed, requests/s: a canary's errors need requests to be seen among."""
LOOK_S: Final = 0.5
SCALED_S: Final = 60.0
"""Within which the HPA must have answered."""
Say = Callable[[str], None]


class Stage(NamedTuple):
    """What is released: a Deployment of the sample service and the RolloutPolicy over it."""

    kubectl: Kubectl
    namespace: str
    deployment: str
    policy: str

    def release(self, version: str, error_rate: float) -> None:
        """An edit of the template."""
        values = (f"POD_VERSION={version}", f"ERROR_RATE={error_rate:g}")
        self.kubectl.kubectl("set", "env", f"deployment/{self.deployment}", *values, "-n", self.namespace)

    def status(self) -> dict[str, Any]:
        """The policy's."""
        return dict(self.kubectl.get("rolloutpolicy", self.policy, "-n", self.namespace).get("status", {}))


class Showcase:
    """The story; `failed` says what did not go as it should."""

    def __init__(self, stage: Stage, world: World, say: Say) -> None:
        self.failed: list[str] = []
        self._stage, self._world, self._say = stage, world, say

    async def run(self, began: float, until: float) -> None:
        """Beside the load, which began and ends at these Unix seconds."""
        step = next(place for place in range(1000) if SCENARIO.curve(place / 1000) > SCENARIO.curve(0)) / 1000
        await asyncio.sleep(max(0.0, began + step * (until - began) - time.time()))
        await self._show_scaling()
        for version, rate, wanted in (("good", GOOD_RATE, "Promoted"), ("bad", BAD_RATE, "RolledBack")):
            await asyncio.to_thread(self._show_release, version, rate, wanted, until)

    async def _show_scaling(self) -> None:
        at, per_pod = time.time(), self._world.per_pod
        low, high = SCENARIO.curve(0) * per_pod, SCENARIO.peak * per_pod
        self._tell(f"load step: {low:g} → {high:g} requests/s, {high / per_pod:g} times what a pod bears", "load step")
        wanted = SCENARIO.needs(0.5, seconds=1, low=self._world.low, high=self._world.high)
        for kind, words in ((Kind.DESIRED, "the HPA wants"), (Kind.ENDPOINTS, "in the Service's endpoints:")):
            while self._world.heard.now.get(kind, 0) < wanted:
                if time.time() - at > SCALED_S:
                    self._fail(f"the HPA had not answered after {SCALED_S:g} s")
                    return
                await asyncio.sleep(0.1)
            self._tell(f"{words} {self._world.heard.now[kind]} pods, {time.time() - at:.1f} s after the step")

    def _show_release(self, version: str, rate: float, wanted: str, until: float) -> None:
        """Make one release and follow it to its end, printing each new standing of the policy's status."""
        before, at, told = last_number(self._stage.status()), time.time(), ""
        self._tell(f"release {version}: {rate:.1%} of its answers are errors", f"release {version}")
        self._stage.release(version, rate)
        while time.time() < until:
            status = self._stage.status()
            if last_number(status) > before and status.get("phase") == "Idle":
                outcome = status["history"][0]["outcome"]
                self._tell(f"release {version}: {outcome} after {time.time() - at:.0f} s", outcome)
                if outcome != wanted:
                    self._fail(f"release {version}: {outcome}, where {wanted} would be right")
                return
            if (now := _standing(status)) != told:
                told = now
                self._say(f"  {now}")
            time.sleep(LOOK_S)
        self._fail(f"release {version} had not ended when the load did: {_standing(self._stage.status())}")

    def _tell(self, text: str, remark: str = "") -> None:
        self._say(text)
        if remark:
            self._world.heard.remark(remark)

    def _fail(self, text: str) -> None:
        self.failed.append(text)
        self._say(text)


def _standing(status: dict[str, Any]) -> str:
    """A release as the policy's status has it, in a line."""
    release = status.get("release") or {}
    weight = f", {release['weight']} % of the pods are new" if release.get("weight") else ""
    return f"{status.get('phase', 'no phase yet')}{weight}"


@contextmanager
def on_bed(bed: Bed) -> Iterator[tuple[Place, Stage]]:
    """The sample service with HPA and canary policy, adapter and rollout controller."""
    namespace = new_name("demo")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamgate-demo-")))
        bed.create_namespace(namespace)
        stack.callback(bed.delete_namespace, namespace)
        adapter = running_adapter(
            bed, folder / "adapter", f"--scrape-interval={SCRAPE}", apis=CUSTOM_API_SERVICES, overlay="embedded"
        )
        stack.enter_context(adapter)
        shop = Shop(bed, namespace, STRATEGIES["canary"], replicas=LOW, ERROR_RATE=GOOD_RATE)
        scale(bed, hpa(NAME, namespace, pods_metric(METRIC, str(PER_POD)), low=LOW, high=8, down=300))
        stack.enter_context(running_controller(bed, namespace, folder / "rollout.log"))
        shop.until("Idle")
        place = Place(namespace, NAME, address(bed, namespace), description=describe(bed, SCRAPE, "a canary policy"))
        yield place, Stage(bed, namespace, NAME, NAME)
