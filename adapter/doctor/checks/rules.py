"""Rules that find nothing: what the adapter itself says, and metrics that HPAs want and nobody offers."""

import difflib
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from adapter.doctor.finding import About, Finding, plain
from adapter.doctor.snapshot import CUSTOM, EXTERNAL, Snapshot
from adapter.kube.autoscaling import MetricSpec

NOTES: Final = ("[-]", "warn: ")
"""How lines of /readyz?verbose begin that tell of trouble."""
MOST: Final = 20
"""Lines of one adapter's /readyz that are shown."""


def check(seen: Snapshot) -> Iterator[Finding]:
    """What adapters wait for or complain of, and metrics that are not on offer."""
    for name, text in seen.readiness.items():
        namespace, _, short = name.partition("/")
        for line in [line for line in text.splitlines() if line.startswith(NOTES)][:MOST]:
            yield Finding(
                about=About.RULES,
                object=f"adapter {name}",
                says=plain(line.removeprefix("[-]").removeprefix("warn: ")),
                next=f"kubectl -n {namespace} logs deploy/{short} --tail=100",
            )
    for group, offered in seen.offers.items():
        if not offered:
            yield Finding(
                about=About.RULES,
                object=f"API {group}",
                says="no metric is on offer: the rules and the series do not meet",
                next="streamgate-adapter check --config=RULES --prometheus-url=URL",
            )
    yield from _not_on_offer(seen)


def _not_on_offer(seen: Snapshot) -> Iterator[Finding]:
    wanting: dict[tuple[str, str], list[str]] = defaultdict(list)
    for hpa in seen.hpas:
        for metric in hpa.spec.metrics:
            if wanted := offered_as(metric):
                group, name = wanted
                if seen.offers.get(group) and name not in seen.offers[group]:
                    wanting[group, name].append(f"{hpa.metadata.namespace}/{hpa.metadata.name}")
    for (group, name), hpas in wanting.items():
        near = difflib.get_close_matches(name, sorted(seen.offers[group]), n=1)
        hint = f"; {near[0]} is, by a name like it" if near else ""
        version = "v1beta1" if group == EXTERNAL else "v1beta2"
        yield Finding(
            about=About.RULES,
            object=f"metric {plain(name)}",
            says=f"it is not on offer, and {len(hpas)} HPAs want it, {hpas[0]} among them{hint}",
            next=f"kubectl get --raw /apis/{group}/{version} | jq -r '.resources[].name'",
        )


def offered_as(metric: MetricSpec) -> tuple[str, str] | None:
    """The API and the name under which a metric would be on offer; None where no list can tell.

    Object metrics are left out: which plural a kind has is not looked up.
    """
    if metric.type == "Pods" and metric.pods:
        return CUSTOM, f"pods/{metric.pods.metric.name}"
    if metric.type == "External" and metric.external:
        return EXTERNAL, metric.external.metric.name
    return None
