"""AnalysisTemplates with a Prometheus provider -> gates. Pure.

Fields are those of argoproj.io/v1alpha1, pkg/apis/rollouts/v1alpha1/analysis_types.go.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from adapter.metrics.promql.read import PromQLError
from adapter.rollout.foreign import condition, promql
from adapter.rollout.foreign.arms import HASH
from adapter.rollout.foreign.condition import Bound
from adapter.rollout.foreign.findings import ByName, Origin
from adapter.rollout.foreign.policy import NOT_ONE, Policy, Wanted
from adapter.rollout.foreign.raw import Raw, Why

MOST_TEMPLATES: Final = 50
"""Of one Rollout: templates name others."""
METRIC: Final[Mapping[str, Why]] = {
    "failureLimit": Why(
        "evidence ends a release, not a number of failed measurements",
        "spec.alpha (0.05) is the chance that a good release is rolled back",
    ),
    "inconclusiveLimit": Why("a gate is undecided until there is evidence", "set spec.gates[].onUndecided"),
    "consecutiveErrorLimit": Why("a source that is away ends no release at once", "set spec.gates[].noEvidence"),
    "consecutiveSuccessLimit": Why("a gate passes by evidence", "nothing is to be done"),
    "initialDelay": Why("a gate is judged from the first window on", "let the first step be small"),
}
ANALYSIS: Final[Mapping[str, Why]] = {
    "startingStep": Why("gates are asked from the first step on", "let the first step be small"),
    "dryRun": Why("a gate decides or is not there", "delete the gates of these metrics; replay tries a policy out"),
    "measurementRetention": Why("evidence is kept in the policy's status", "nothing is to be done"),
    "analysisRunMetadata": Why("no runs are made", "nothing is to be done"),
}
PROMETHEUS: Final[Mapping[str, Why]] = {
    "address": Why("the address is the controller's", "streamgate-rollout run --prometheus-url=ADDRESS"),
    "authentication": Why("access is the controller's", "--prometheus-token-file, --prometheus-ca-file"),
    "headers": Why("headers are not sent", "--prometheus-token-file, or a proxy that sets them"),
    "insecure": Why("certificates are verified", "--prometheus-ca-file"),
    "timeout": Why("the time is the controller's", "--prometheus-timeout"),
    "rangeQuery": Why("a query gives one value of now", "put the range into the query, as [{{window}}]"),
}
NOT_PROMETHEUS: Final = Why(
    "gates ask Prometheus, or the metrics that the HPAs use", "write spec.gates[].metric or .query by hand"
)
NOT_A_LIMIT: Final = Why("it is no comparison of the result with a number", "write spec.gates[].limit by hand")
NO_LIMIT: Final = Why("it has no condition, so that every value is good", "write spec.gates[].limit by hand")
COUNT: Final = Why("a gate is asked for as long as the release goes on", "nothing is to be done")
NO_VALUE: Final = Why("no value is no evidence here, whatever it says of it", "set spec.gates[].noEvidence")


class Templates:
    """The analysis templates of a file."""

    def __init__(self) -> None:
        self._cluster, self._own = ByName(), ByName()

    def add(self, origin: Origin) -> None:
        """One more."""
        if origin.kind.startswith("Cluster"):
            self._cluster.add(origin._replace(namespace=""))
        else:
            self._own.add(origin)

    def of(self, name: str, namespace: str, *, cluster: bool) -> Origin | None:
        """The template of that name."""
        return self._cluster.of(name, "") if cluster else self._own.of(name, namespace)

    @property
    def unnamed(self) -> Sequence[Origin]:
        """Those that nobody asked for."""
        return [*self._own.unnamed, *self._cluster.unnamed]


class Analyst:
    """Makes gates of the analyses of one Rollout; a template that is named twice alike is read once."""

    def __init__(self, policy: Policy, templates: Templates, rollout: Origin) -> None:
        self._policy, self._templates, self._rollout = policy, templates, rollout
        self._seen: dict[tuple[object, ...], float] = {}

    def gates(self, analysis: Raw, stage: str = "", *, timed: bool = True) -> float:
        """Adds the gates of an analysis; returns for how many seconds it measures, 0 if without end.

        `timed`: the caller gives it these seconds; else it goes on for as long as the release.
        """
        values = dict(self._arguments(analysis.each("args")))
        longest = 0.0
        for reference in analysis.each("templates"):
            longest = max(longest, self._template(reference, values, stage, timed=timed))
        analysis.leave(ANALYSIS)
        analysis.rest()
        return longest

    def _template(self, reference: Raw, values: Mapping[str, str], stage: str, *, timed: bool) -> float:
        name, cluster = reference.text("templateName"), reference.flag("clusterScope")
        reference.rest()
        key = (name, cluster, stage, *sorted(values.items()))
        if key in self._seen:
            return self._seen[key]
        if len(self._seen) >= MOST_TEMPLATES:
            why = Why(f"more than {MOST_TEMPLATES} templates are named", "put their metrics into fewer")
            reference.say("", why)
            return 0.0
        self._seen[key] = 0.0  # for a template that names itself
        template = self._templates.of(name, self._rollout.namespace, cluster=cluster)
        if template is None:
            kind = "ClusterAnalysisTemplate" if cluster else "AnalysisTemplate"
            reference.say("", Why(f"there is no {kind} of that name in the file", "put it into the file"))
            return 0.0
        spec = reference.of(template, "spec", template.raw.get("spec"))
        known = {**dict(self._arguments(spec.each("args"))), **values}
        longest = 0.0
        for metric in spec.each("metrics"):
            longest = max(longest, self._metric(metric, known, stage, timed=timed))
        for inner in spec.each("templates"):
            longest = max(longest, self._template(inner, known, stage, timed=timed))
        spec.leave({field: why for field, why in ANALYSIS.items() if field != "startingStep"})
        spec.rest()
        self._seen[key] = longest
        return longest

    def _arguments(self, given: Iterator[Raw]) -> Iterator[tuple[str, str]]:
        """Names and values of arguments; the hash of the new pods is our own argument for it."""
        for each in given:
            name = each.text("name")
            if each.has("value"):
                yield name, each.text("value")
            elif each.has("valueFrom"):
                value = self._value_from(each.inside("valueFrom"))
                if value is not None:
                    yield name, value
            each.rest()

    def _value_from(self, raw: Raw) -> str | None:
        value = None
        if raw.has("podTemplateHashValue"):
            if raw.text("podTemplateHashValue") == "Latest":
                value = HASH
            else:
                why = Why("a query is asked of both arms by itself", "compare with stable by spec.gates[].margin")
                raw.say("podTemplateHashValue", why)
        if raw.has("fieldRef"):
            field = raw.inside("fieldRef")
            value = _field(self._rollout, field.text("fieldPath"))
            if value is None:
                field.say("fieldPath", Why("only metadata of the Rollout is known here", "write the value itself"))
            field.rest()
        raw.leave({"secretKeyRef": Why("queries are no secrets", "write the value itself")})
        raw.rest()
        return value

    def _metric(self, metric: Raw, values: Mapping[str, str], stage: str, *, timed: bool) -> float:
        name, before = metric.text("name"), len(self._policy.gates)
        every, count = metric.seconds("interval"), metric.number("count")
        bounds = _bounds(metric, values)
        metric.leave(METRIC)
        provider = metric.inside("provider")
        if provider.has("prometheus"):
            prometheus = provider.inside("prometheus")
            query = prometheus.text("query")
            prometheus.leave(PROMETHEUS)
            prometheus.rest()
            provider.rest()
            if bounds:
                self._gate(prometheus, values, Wanted(name, query, bounds, every, stage))
        else:
            metric.say("provider", NOT_PROMETHEUS)
        if len(self._policy.gates) == before:
            metric.say("", NOT_ONE)
        metric.rest()
        seconds = (every or 0.0) * max((count or 0.0) - 1, 0.0)
        if count is not None and not (timed and seconds):
            metric.say("count", COUNT)
        return seconds

    def _gate(self, prometheus: Raw, values: Mapping[str, str], wanted: Wanted) -> None:
        try:
            query = promql.fill_in(wanted.query, values)
        except PromQLError as error:
            prometheus.say("query", Why(f"the query cannot be a gate: {error}", "write spec.gates[].query by hand"))
            return
        self._policy.gate(prometheus, "query", wanted._replace(query=query))


def _bounds(metric: Raw, values: Mapping[str, str]) -> tuple[Bound, ...]:
    """The bounds of a metric's conditions; of two conditions that of success counts."""
    parsed: condition.Condition | None = None
    given = False
    for field, read in (("successCondition", condition.success), ("failureCondition", condition.failure)):
        if not metric.has(field):
            continue
        if parsed:
            why = Why("a gate has one limit, that of successCondition", "between the two it is undecided for longer")
            metric.say(field, why)
            continue
        given = True
        parsed = _condition(metric, field, values, read)
    if not given:
        metric.say("successCondition", NO_LIMIT)
    return parsed.bounds if parsed else ()


def _condition(
    metric: Raw, field: str, values: Mapping[str, str], read: condition.Reader
) -> condition.Condition | None:
    try:
        parsed = read(promql.fill_in(metric.text(field), values))
    except PromQLError:
        parsed = None
    if parsed is None:
        metric.say(field, NOT_A_LIMIT)
    elif parsed.presence:
        metric.say(field, NO_VALUE)
    return parsed


def _field(rollout: Origin, path: str) -> str | None:
    """The value of a field of the Rollout's metadata; None where there is no such text."""
    if path in ("metadata.name", "metadata.namespace"):
        return (rollout.name if path.endswith(".name") else rollout.namespace) or None
    for start, values in (("metadata.labels", rollout.labels), ("metadata.annotations", rollout.annotations)):
        if path.startswith(start):
            key = path.removeprefix(start).strip("[].'\"")
            value = values.get(key)
            return value if isinstance(value, str) else None
    return None
