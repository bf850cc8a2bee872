"""HPAs that get no metric or not all, cannot act, or have company on their target."""

from collections import defaultdict
from collections.abc import Iterator

from adapter.doctor.finding import About, Finding, plain, word
from adapter.doctor.objects import Hpa
from adapter.doctor.snapshot import Snapshot, lacks, starves
from adapter.hpa.words import describe_metrics
from adapter.kube.objects import condition


def check(seen: Snapshot) -> Iterator[Finding]:
    """Starving ones with the reason, those that lack one metric of several, that cannot scale, two on one target."""
    for hpa in seen.hpas:
        yield from _starving(seen, hpa)
        yield from _lacking(seen, hpa)
        able = condition(hpa.status.conditions, "AbleToScale")
        if able and able.status == "False":
            yield Finding(
                about=About.HPA,
                object=_full_name(hpa),
                says=f"it cannot scale its target: {plain(f'{able.reason}: {able.message}')}",
                next=f"kubectl -n {word(hpa.metadata.namespace)} get {word(target_of(hpa))}",
            )
    yield from _two_on_one(seen)


def target_of(hpa: Hpa) -> str:
    """What it scales, as kubectl takes it."""
    target = hpa.spec.scale_target_ref
    return f"{target.kind.lower()}/{target.name}"


def _full_name(hpa: Hpa) -> str:
    return f"HPA {hpa.metadata.namespace}/{hpa.metadata.name}"


def _starving(seen: Snapshot, hpa: Hpa) -> Iterator[Finding]:
    active = condition(hpa.status.conditions, "ScalingActive")
    if active is not None and starves(hpa):
        why = plain(f"{active.reason}: {active.message}")
        yield _without(seen, hpa, "it gets no metric and holds its size", why)


def _lacking(seen: Snapshot, hpa: Hpa) -> Iterator[Finding]:
    if missing := lacks(hpa):
        active = condition(hpa.status.conditions, "ScalingActive")
        why = plain(f"{active.reason}: {active.message}") if active and active.status == "False" else ""
        says = (
            f"it gets no value of {plain(describe_metrics(missing))}, so its other metrics may scale it up, never down"
        )
        yield _without(seen, hpa, says, why)


def _without(seen: Snapshot, hpa: Hpa, says: str, otherwise: str) -> Finding:
    """The finding `says` with its reason: what the HPA's own request gets, or else `otherwise`."""
    key = f"{hpa.metadata.namespace}/{hpa.metadata.name}"
    asked = [one for one in seen.questions.get(key, ()) if one.problem]
    why = asked[0].problem if asked else otherwise
    command = f"kubectl -n {word(hpa.metadata.namespace)} describe hpa {word(hpa.metadata.name)}"
    if asked:
        command = f"kubectl get --raw {word(asked[0].path)}"
    return Finding(about=About.HPA, object=_full_name(hpa), says=f"{says}: {why}" if why else says, next=command)


def _two_on_one(seen: Snapshot) -> Iterator[Finding]:
    on: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for hpa in seen.hpas:
        target = hpa.spec.scale_target_ref
        group = target.api_version.rpartition("/")[0]
        on[hpa.metadata.namespace, group, target.kind, target.name].append(hpa.metadata.name)
    for (namespace, _, kind, name), hpas in on.items():
        if len(hpas) > 1:
            yield Finding(
                about=About.HPA,
                object=f"{kind} {namespace}/{name}",
                says=f"{len(hpas)} HPAs scale it against each other: {', '.join(sorted(hpas))}",
                next=f"kubectl -n {word(namespace)} get hpa {' '.join(map(word, sorted(hpas)))}",
            )
