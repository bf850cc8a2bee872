"""The values of an HPA's metrics that its status holds, and which metrics have none.

The controller writes one entry for each metric of the spec, in its order, and leaves that of a metric without a value
empty (`type: ""`); others leave it out. As long as another metric has a value, and the size is not to fall, its
conditions tell nothing of that.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from adapter.hpa.fields import Field, HpaError
from adapter.hpa.model import Metric, Source, TargetType
from adapter.hpa.read import FIELDS, TARGETS, read_metrics
from adapter.hpa.words import MAX_INT32

OF_PODS: Final = frozenset({Source.RESOURCE, Source.CONTAINER_RESOURCE, Source.PODS})


def current_values(hpa: Mapping[str, object], metrics: Sequence[Metric]) -> tuple[int | None, ...]:
    """The value of each metric, in percent or thousandths as its target is; None: it has none. Never raises."""
    held = _read_entries(hpa)
    # Two metrics may differ in their selectors alone: what stands in the place of one is no other's.
    placed = [_is_of(metric, one) for metric, one in zip(metrics, held, strict=False)]
    free = [one for at, one in enumerate(held) if not (at < len(placed) and placed[at])]
    values: list[int | None] = []
    for at, metric in enumerate(metrics):
        own = held[at] if at < len(placed) and placed[at] else next((one for one in free if _is_of(metric, one)), None)
        values.append(_current(metric, own) if own else None)
    return tuple(values)


def without_value(hpa: Mapping[str, object]) -> list[Metric]:
    """Metrics of which the controller's last look found no value. Never raises.

    None while it asks for no metric, as outside of the HPA's bounds: then the status holds no entry at all. Without a
    replica there are no pods that could have a value.
    """
    if not _read_entries(hpa):
        return []
    try:
        metrics, _ = read_metrics(hpa)
        is_at_zero = Field("", hpa).of("status").of("currentReplicas").value in (None, 0)
    except HpaError:
        return []
    values = zip(metrics, current_values(hpa, metrics), strict=True)
    return [one for one, value in values if value is None and not (is_at_zero and one.source in OF_PODS)]


def _read_entries(hpa: Mapping[str, object]) -> list[Field]:
    try:
        return list(Field("", hpa).of("status").of("currentMetrics").items())
    except HpaError:
        return []


def _is_of(metric: Metric, one: Field) -> bool:
    try:
        if one.of("type").value != metric.source:
            return False
        own = one.of(FIELDS[metric.source])
        about = own if metric.source in (Source.RESOURCE, Source.CONTAINER_RESOURCE) else own.of("metric")
        described = own.of("describedObject")
        named = f"{described.of('kind').value} {described.of('name').value}" if described else ""
        container = own.of("container").value or ""
        return (about.of("name").value, container, named) == (metric.name, metric.container, metric.described)
    except HpaError:
        return False


def _current(metric: Metric, one: Field) -> int | None:
    try:
        field = one.of(FIELDS[metric.source]).of("current").of(TARGETS[metric.target.type])
        if not field:
            return None
        if metric.target.type is TargetType.UTILIZATION:
            return field.whole(0, MAX_INT32)
        return field.quantity().milli()
    except HpaError:
        return None
