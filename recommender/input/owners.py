"""Whose the pods were that Prometheus remembers and the cluster has no longer: by labels, else by owners."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import structlog

from adapter.units.selector import Selector
from recommender.input.history import History, HistoryError, Prometheus, Series
from recommender.model import workloads
from recommender.model.cluster import TrackedVpa
from recommender.model.workloads import Workload

log = structlog.get_logger(__name__)
Labels = Mapping[str, str]
_CASE: Final = re.compile(r"([a-z0-9])([A-Z])")
_OTHER: Final = re.compile(r"[^a-z0-9]")


class Owners:
    """Which workloads the pods of one namespace belonged to, as kube-state-metrics told."""

    def __init__(self, source: Prometheus, namespace: str, history: History) -> None:
        """Asks two queries. Raises HistoryError."""
        window = f"[{history.length:.0f}s]"
        owned = history.label_matchers(namespace=namespace, owner_is_controller="true")
        made = history.label_matchers(namespace=namespace, owner_kind="Deployment")
        pods = source.instant(f"last_over_time(kube_pod_owner{owned}{window})")
        sets = source.instant(f"last_over_time(kube_replicaset_owner{made}{window})")
        self._pods = {label(one, "pod"): Workload(label(one, "owner_kind"), label(one, "owner_name")) for one in pods}
        self._sets = {label(one, "replicaset"): label(one, "owner_name") for one in sets}

    def of(self, pod: str) -> Workload:
        """A pod's workload; by the form of its name where nothing is known of it."""
        return workloads.of_metrics(pod, self._pods, self._sets)


def pod_labels(source: Prometheus, history: History) -> dict[tuple[str, str], Labels]:
    """(namespace, pod) -> its labels, by the metric of pod labels, names normalised; empty where there is none.

    VPA asks for the metric as its flag says, and its default is refused for want of a range; we give it one.
    """
    try:
        vector = source.instant(f"last_over_time({history.of_labels()})")
    except HistoryError as error:
        log.warning("no labels of past pods", cause=str(error))
        return {}
    prefix = history.label_prefix
    labelled = {
        (label(series, history.labels_namespace), label(series, history.labels_pod)): {
            normalise_label(name.removeprefix(prefix)): str(value)
            for name, value in series.get("metric", {}).items()
            if name.startswith(prefix)
        }
        for series in vector
    }
    return {pod: labels for pod, labels in labelled.items() if labels}


class PodMatcher:
    """Which VPAs had a pod of one namespace."""

    def __init__(self, vpas: Iterable[TrackedVpa], labels: Mapping[tuple[str, str], Labels], owners: Owners) -> None:
        """`vpas` are those of the namespace."""
        self._vpas = [(tracked, _normalise_selector(tracked.selector)) for tracked in vpas]
        self._labels, self._owners = labels, owners

    def of(self, namespace: str, pod: str) -> Iterator[TrackedVpa]:
        """By the pod's labels where they are known, else by its workload."""
        labels, workload = self._labels.get((namespace, pod)), self._owners.of(pod)
        for tracked, selector in self._vpas:
            target = tracked.vpa.spec.target_ref
            if labels is not None and selector is not None:
                if selector.matches(labels):
                    yield tracked
            elif target is not None and workload == (target.kind, target.name):
                yield tracked


def normalise_label(name: str) -> str:
    """A label's name as metrics have it: app.kubernetes.io/partOf becomes app_kubernetes_io_part_of."""
    return _OTHER.sub("_", _CASE.sub(r"\1_\2", name).lower())


def _normalise_selector(selector: Selector | None) -> Selector | None:
    return selector and Selector(one._replace(key=normalise_label(one.key)) for one in selector.requirements)


def label(series: Series, name: str) -> str:
    """A label of a series, '' without."""
    return str(series.get("metric", {}).get(name, ""))
