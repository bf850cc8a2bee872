"""Rules that find nothing: what the adapter itself says, and metrics that HPAs want and nobody offers."""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from adapter.doctor.checks.apis import groups_of
from adapter.doctor.finding import About, Finding, plain, who_wants, word
from adapter.doctor.snapshot import CUSTOM, EXTERNAL, Snapshot
from adapter.kube.autoscaling import MetricSpec
from adapter.rules.config import load
from adapter.rules.document import RulesError
from adapter.rules.model import Rule

CHECK: Final = "streamgate-adapter check --config=RULES --prometheus-url=URL"
_GROUP: Final = re.compile(r"\$(?:\w+|\{\w+\})")
"""A group in a rule's `as`, as Go's regexp writes it."""
NOTES: Final = ("[-]", "warn: ")
"""How lines of /readyz?verbose begin that tell of trouble."""
MOST: Final = 20
"""Lines of one adapter's /readyz that are shown."""


def check(seen: Snapshot) -> Iterator[Finding]:
    """What adapters wait for or complain of, rules that find nothing, and metrics that are not on offer."""
    for name, text in seen.readiness.items():
        namespace, _, short = name.partition("/")
        for line in [line for line in text.splitlines() if line.startswith(NOTES)][:MOST]:
            yield Finding(
                about=About.RULES,
                object=f"adapter {name}",
                says=plain(line.removeprefix("[-]").removeprefix("warn: ")),
                next=f"kubectl -n {word(namespace)} logs {word(f'deploy/{short}')} --tail=100",
            )
    wanted = {group for hpa in seen.hpas for group in groups_of(hpa)}
    for group, offered in seen.offers.items():
        if not offered and group in wanted:
            yield Finding(
                about=About.RULES,
                object=f"API {group}",
                says="no metric is on offer: the rules and the series do not meet",
                next=CHECK,
            )
    for name, held in seen.rules.items():
        for says, command in _of_file(seen, held.text, edit=_edit(name, held.config_map)):
            yield Finding(about=About.RULES, object=f"rules of adapter {name}", says=plain(says), next=command)
    yield from _not_on_offer(seen)


def _edit(adapter: str, config_map: str) -> str:
    """How its rules are changed; it reads them when it starts."""
    namespace, _, name = adapter.partition("/")
    where = f"kubectl -n {word(namespace)}"
    return f"{where} edit configmap {word(config_map)} && {where} rollout restart deployment {word(name)}"


def _of_file(seen: Snapshot, text: str, *, edit: str) -> Iterator[tuple[str, str]]:
    """What does not work of a rules file, and which of its rules have nothing on offer; each with the next command."""
    try:
        file = load(text, "the file")
    except RulesError as error:
        yield str(error), edit
        return
    for problem in file.problems:
        yield problem, edit
    for group, rules in ((CUSTOM, file.custom), (EXTERNAL, file.external)):
        names = {name.rpartition("/")[2] for name in seen.offers.get(group, ())}
        for rule in rules or () if names else ():
            if (given := name_pattern(rule)) and not any(given.fullmatch(name) for name in names):
                says = f"{rule.place} finds nothing: no metric by the name {rule.name_as!r} is on offer in {group}"
                yield says, CHECK


def name_pattern(rule: Rule) -> re.Pattern[str] | None:
    """What the names of a rule's metrics look like; None where its `as` says nothing of them, as '$1'."""
    parts = _GROUP.split(rule.name_as)
    return re.compile(".*".join(map(re.escape, parts))) if any(parts) else None


def _not_on_offer(seen: Snapshot) -> Iterator[Finding]:
    wanting: dict[tuple[str, str], list[str]] = defaultdict(list)
    for hpa in seen.hpas:
        for metric in hpa.spec.metrics:
            if wanted := api_and_name(metric):
                group, name = wanted
                if seen.offers.get(group) and name not in seen.offers[group]:
                    wanting[group, name].append(f"{hpa.metadata.namespace}/{hpa.metadata.name}")
    for (group, name), hpas in wanting.items():
        near = difflib.get_close_matches(name, sorted(seen.offers[group]), n=1)
        hint = f"; {near[0]} is, by a name like it" if near else ""
        version = "v1beta1" if group == EXTERNAL else "v1beta2"
        namespace, _, first = hpas[0].partition("/")
        yield Finding(
            about=About.RULES,
            object=f"metric {plain(name)}",
            says=f"it is not on offer, and {who_wants(hpas)}{hint}",
            next=f"kubectl -n {word(namespace)} edit hpa {word(first)}"
            if near
            else f"kubectl get --raw /apis/{group}/{version} | jq -r '.resources[].name'",
        )


def api_and_name(metric: MetricSpec) -> tuple[str, str] | None:
    """The API and the name under which a metric would be on offer; None where no list can tell.

    Object metrics are left out: which plural a kind has is not looked up.
    """
    if metric.type == "Pods" and metric.pods:
        return CUSTOM, f"pods/{metric.pods.metric.name}"
    if metric.type == "External" and metric.external:
        return EXTERNAL, metric.external.metric.name
    return None
