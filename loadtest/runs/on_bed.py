"""The test bed as a world: a real control plane and node, the sample service as pods, the adapter before an HPA."""

import json
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from loadtest.machine import ahead, weigh
from loadtest.runs.cluster import Place
from loadtest.runs.local import DOWN_S, LOW, SCRAPE, TARGET, WORK_MS, most_replicas
from loadtest.standalone import METRIC
from tests.cluster.adapter import agreeing, hpa, pods_metric, reflex, running_adapter
from tests.cluster.bed import Bed, BedError, Options
from tests.cluster.manifests import sample_deployment
from tests.cluster.node import CGROUP, CGROUPS
from tests.cluster.processes import wait_until

NAME = "web"
LOOKED_S = 60.0
APIS = ("v1beta2.custom.metrics.k8s.io",)


@contextmanager
def bed_up(*, reuse: bool) -> Iterator[Bed]:
    """A bed of its own, ahead of what else runs here; or with `reuse` the one that is up. Raises BedError."""
    with ahead("streamgate-loadtest"):
        bed = Bed.attach() if reuse else Bed.up(Options())
        try:
            for cgroup in (CGROUPS / "cpu" / CGROUP, CGROUPS / CGROUP):
                weigh(cgroup)  # containers compete as this one
            yield bed
        finally:
            if not reuse:
                bed.down()


@contextmanager
def service(
    bed: Bed,
    scrape: str = SCRAPE,
    *,
    with_reflex: bool = False,
    behavior: Mapping[str, Any] | None = None,
    headroom: float = 0.0,
) -> Iterator[Place]:
    """The sample service with its HPA, as in the world without a cluster, and an adapter that serves it.

    `behavior`: the HPA's `spec.behavior`; by default a scale-down window of DOWN_S. `headroom`: its target is that
    share below TARGET.
    """
    namespace = new_name("loadtest")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamgate-")))
        bed.create_namespace(namespace)
        stack.callback(bed.delete_namespace, namespace)
        bed.apply(sample_deployment(NAME, namespace, LOW, WORK_MS=f"{WORK_MS:g}", SLOTS=1))
        bed.rollout(NAME, namespace)
        metric = pods_metric(METRIC, f"{TARGET * (1 - headroom):g}")
        made = hpa(NAME, namespace, metric, low=LOW, high=most_replicas(headroom), down=DOWN_S)
        flags, more = [f"--scrape-interval={scrape}"], [f"scale-down window {DOWN_S} s"]
        if behavior is not None:
            made["spec"]["behavior"], more = dict(behavior), [f"behavior {json.dumps(behavior)}"]
        if with_reflex:
            made, flags, more = agreeing(made), [*flags, reflex(bed)], [*more, "with --reflex"]
        stack.enter_context(running_adapter(bed, folder, *flags, apis=APIS))
        scale(bed, made)
        yield Place(namespace, NAME, address(bed, namespace), WORK_MS, describe(bed, scrape, *more), headroom)


def new_name(kind: str) -> str:
    """Of a namespace: on a bed that is used again the one of before may still be going."""
    return f"{kind}-{secrets.token_hex(3)}"


def scale(bed: Bed, made: dict[str, Any]) -> None:
    """The HPA `made`, which has looked once: until then it desires nothing. Raises BedError."""
    name, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
    bed.apply(made)

    def has_looked() -> bool:
        return bool(bed.get("hpa", name, "-n", namespace).get("status", {}).get("desiredReplicas"))

    if not wait_until(has_looked, LOOKED_S, every=0.5):
        raise BedError(f"the HPA {namespace}/{name} desires nothing after {LOOKED_S:g} s")


def address(bed: Bed, namespace: str) -> str:
    """The Service's, which is reached from this machine."""
    return f"http://{bed.get('service', NAME, '-n', namespace)['spec']['clusterIP']}"


def describe(bed: Bed, scrape: str, *more: str) -> str:
    """The test bed and its adapter's scrape interval in one line, with what `more` adds."""
    return "; ".join([bed_in_words(bed), f"scrapes every {scrape}", *more])


def bed_in_words(bed: Bed) -> str:
    """What the bed is."""
    version = json.loads(bed.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    return f"the test bed: Kubernetes {version}, one real node, HPA period 15 s"
