"""Flagger's metrics, those that it knows and those of MetricTemplates -> gates. Pure.

The queries that it knows are in pkg/metrics/observers; what they measure is asked here by our own queries.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from adapter.metrics.promql.read import PromQLError
from adapter.rollout.foreign import promql
from adapter.rollout.foreign.condition import Bound
from adapter.rollout.foreign.findings import ByName, Origin
from adapter.rollout.foreign.policy import NOT_ONE, Policy, Wanted
from adapter.rollout.foreign.raw import Raw, Why

EVERY: Final = 60.0
SUCCESS, DURATION = "request-success-rate", "request-duration"


class Known(NamedTuple):
    """Where requests are counted, pod by pod."""

    requests: str
    """The counter, and what its selector needs."""
    bad: str
    """The matcher of bad requests."""
    buckets: str
    milliseconds: bool


HTTP: Final = Known(
    "http_request_duration_seconds_count", 'status=~"5.*"', "http_request_duration_seconds_bucket", milliseconds=False
)
ISTIO: Final = Known(
    'istio_requests_total{reporter="destination"}',
    'response_code=~"5.*"',
    'istio_request_duration_milliseconds_bucket{reporter="destination"}',
    milliseconds=True,
)
LINKERD: Final = Known(
    'response_total{direction="inbound"}',
    'classification="failure"',
    'response_latency_ms_bucket{direction="inbound"}',
    milliseconds=True,
)
KNOWN: Final[Mapping[str, Known]] = {"istio": ISTIO, "linkerd": LINKERD, "kubernetes": HTTP, "": ISTIO}
NOT_PODS: Final = Why(
    "Flagger asked what the ingress or gateway counts, which does not know pods",
    "see that the pods have http_request_duration_seconds with a label status, or write the query by hand",
)
PROVIDER: Final[Mapping[str, Why]] = {
    "address": Why("the address is the controller's", "streamgate-rollout run --prometheus-url=ADDRESS"),
    "secretRef": Why("access is the controller's", "--prometheus-token-file, --prometheus-ca-file"),
    "insecureSkipVerify": Why("certificates are verified", "--prometheus-ca-file"),
    "headers": Why("headers are not sent", "--prometheus-token-file, or a proxy that sets them"),
}
NOT_PROMETHEUS: Final = Why(
    "gates ask Prometheus, or the metrics that the HPAs use", "write spec.gates[].metric or .query by hand"
)
NO_RANGE: Final = Why("it has no limit", "write spec.gates[].limit by hand")
THRESHOLD: Final = Why("without a thresholdRange it was the largest value", "see that the limit is meant so")


class Templates:
    """The MetricTemplates and AlertProviders of a file."""

    def __init__(self) -> None:
        self.metrics, self.alerts = ByName(), ByName()

    def add(self, origin: Origin) -> None:
        """One more."""
        (self.metrics if origin.kind == "MetricTemplate" else self.alerts).add(origin)

    @property
    def unnamed(self) -> Sequence[Origin]:
        """Those that nobody asked for."""
        return [*self.metrics.unnamed, *self.alerts.unnamed]


class Checks:
    """Makes gates of the metrics of one Canary."""

    def __init__(self, policy: Policy, templates: Templates, canary: Origin, provider: str) -> None:
        self._policy, self._templates, self._canary, self._provider = policy, templates, canary, provider
        self._stage = "post" if policy.blue_green else ""

    def read(self, analysis: Raw) -> None:
        """Adds the gates of an analysis."""
        for metric in analysis.each("metrics"):
            name, before = metric.text("name"), len(self._policy.gates)
            bounds = self._bounds(metric, name)
            every = metric.seconds("interval") or EVERY
            wanted = Wanted(name, "", bounds, every, self._stage)
            if metric.has("templateRef"):
                self._template(metric, wanted)
            elif metric.has("query"):
                self._gate(metric, wanted._replace(query=metric.text("query")))
            elif name in (SUCCESS, DURATION):
                self._gate_builtin(metric, wanted)
            else:
                metric.say("name", Why("no query of that name is known", "write spec.gates[] by hand"))
            if len(self._policy.gates) == before:
                metric.say("", NOT_ONE)
            metric.rest()

    def _bounds(self, metric: Raw, name: str) -> tuple[Bound, ...]:
        given = metric.inside("thresholdRange")
        least, most = given.number("min"), given.number("max")
        given.rest()
        threshold = metric.number("threshold")
        if least is most is None and threshold is not None:
            if name == SUCCESS:
                least = threshold
            else:
                most = threshold
                metric.say("threshold", THRESHOLD)
        elif threshold is not None:
            metric.say("threshold", Why("thresholdRange counts, as it did", "nothing is to be done"))
        sides = ((least, True), (most, False))
        bounds = tuple(Bound(limit, lower) for limit, lower in sides if limit is not None)
        if not bounds:
            metric.say("thresholdRange", NO_RANGE)
        return bounds

    def _template(self, metric: Raw, wanted: Wanted) -> None:
        ref = metric.inside("templateRef")
        name, namespace = ref.text("name"), ref.text("namespace") or self._canary.namespace
        ref.rest()
        variables = metric.inside("templateVariables")
        values = {f"variables.{key}": variables.text(key) for key in _keys(metric.take("templateVariables"))}
        template = self._templates.metrics.of(name, namespace)
        if template is None:
            ref.say("name", Why("there is no MetricTemplate of that name in the file", "put it into the file"))
            return
        spec = metric.of(template, "spec", template.raw.get("spec"))
        provider = spec.inside("provider")
        query, kind = spec.text("query"), provider.text("type")
        provider.leave(PROVIDER)
        provider.rest()
        spec.rest()
        if kind == "prometheus":
            self._gate(spec, wanted._replace(query=query), values)
        else:
            spec.say("", NOT_PROMETHEUS)

    def _gate_builtin(self, metric: Raw, wanted: Wanted) -> None:
        """Adds gates for one of Flagger's two builtin metrics: a percentage of successes, or milliseconds."""
        known = KNOWN.get(self._provider, HTTP)
        if self._provider not in KNOWN:
            metric.say("name", NOT_PODS)
        if wanted.name == SUCCESS:
            whole = f"sum(rate({known.requests}[{{{{interval}}}}]))"
            part = f"sum(rate({_with(known.requests, known.bad)}[{{{{interval}}}}]))"
            self._gate(metric, wanted._replace(query=f"(1 - {part} / {whole}) * 100"), field="name", own=True)
            return
        scale = 1.0 if known.milliseconds else 0.001
        bounds = tuple(Bound(float(f"{each.limit * scale:.6g}"), each.lower) for each in wanted.bounds)
        query = f"histogram_quantile(0.99, sum by (le) (rate({known.buckets}[{{{{interval}}}}])))"
        self._gate(metric, wanted._replace(query=query, bounds=bounds), field="name", own=True)

    def _gate(
        self,
        raw: Raw,
        wanted: Wanted,
        more: Mapping[str, str] | None = None,
        *,
        field: str = "query",
        own: bool = False,
    ) -> None:
        names = self._policy.names
        interval = f"{round(min(max(wanted.every or EVERY, 1.0), 3600.0))}s"
        values = {
            "name": self._canary.name,
            "namespace": names.namespace,
            "target": names.target,
            "service": names.service,
            "ingress": names.target,
            "route": names.target,
            "interval": interval,
            **(more or {}),
        }
        if not wanted.bounds:
            return
        try:
            query = promql.fill_in(wanted.query, values)
        except PromQLError as error:
            raw.say(field, Why(f"the query cannot be a gate: {error}", "write spec.gates[].query by hand"))
            return
        self._policy.gate(raw, field, wanted._replace(query=query), own=own)


def _keys(value: object) -> list[str]:
    return [key for key in value if isinstance(key, str)] if isinstance(value, Mapping) else []


def _with(selector: str, matcher: str) -> str:
    """The selector with one matcher more."""
    return f"{selector[:-1]},{matcher}}}" if selector.endswith("}") else f"{selector}{{{matcher}}}"
