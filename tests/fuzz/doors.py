"""Every reader of bytes from outside, what it may answer to what it cannot read, and what holds of what it can."""

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from adapter.console.board import Board, Kind, Listed
from adapter.console.choose import Wish
from adapter.console.history import History
from adapter.console.hpas import view as view_hpa
from adapter.console.objects import Hpa
from adapter.console.pages import frame, hpas, recommendations, releases
from adapter.console.recommendations import view as view_vpa
from adapter.console.releases import view as view_release
from adapter.doctor.__main__ import report_lines
from adapter.doctor.checks import findings
from adapter.doctor.checks.apis import servers_by_api
from adapter.doctor.checks.certificates import read as read_certificates
from adapter.doctor.finding import Report, plain
from adapter.doctor.objects import APIService, Lease, Policy, Vpa
from adapter.doctor.snapshot import RulesFile, Snapshot
from adapter.hpa.fields import HpaError
from adapter.hpa.read import read_history, read_spec
from adapter.inbound.http2 import HEAD_BYTES, Answers, Gate, RefusedError
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.compact import Compactor
from adapter.kube.decoding import decode
from adapter.kube.documents import DocumentError, read_objects
from adapter.kube.errors import Undecodable
from adapter.kube.objects import Model, Node, Pod
from adapter.metrics.matching import full_match
from adapter.metrics.otlp.decode import Decoder, from_json, from_protobuf
from adapter.metrics.otlp.measure import OtlpError
from adapter.metrics.prometheus import wire
from adapter.metrics.promql.insert import Inserter, InsertError, Name, Promql
from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.promql.write import Writer
from adapter.metrics.scrape.exposition import Parser
from adapter.metrics.scrape.kubelet import KubeletUsage
from adapter.metrics.slices import run
from adapter.metrics.source import SourceError, UnsupportedQuery
from adapter.program.tracing.config import read as read_tracing
from adapter.program.tracing.send import rejected_spans
from adapter.rollout import documents, queries, recording
from adapter.rollout.foreign.read import read as read_foreign
from adapter.rollout.foreign.write import documents as written
from adapter.rollout.model import gates, shape
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rules.config import load
from adapter.rules.document import RulesError
from adapter.rules.go.regexp import Regexp
from adapter.rules.go.template import Template, TemplateError
from adapter.rules.samples import coverage_query, timestamp_query
from adapter.serve.negotiate import accepts_gzip, negotiate
from adapter.serve.questions import custom_question, external_question
from adapter.serve.requestinfo import RequestError, read_request
from adapter.serve.status import StatusError
from adapter.spans import MILLION, parent_of
from adapter.units import duration
from adapter.units.manifest import ManifestError, values
from adapter.units.nesting import prune
from adapter.units.quantity import Quantity, QuantityError
from adapter.units.regexp import RegexpError
from adapter.units.selector import Selector, SelectorError
from recommender.checkpoint.codec import CheckpointError, restore_extra
from recommender.input.usage_file import UsageError, read_usage
from recommender.model.containers import Aggregation, States
from recommender.objects import Vpa as RecommenderVpa
from recommender.offline.checkpoint_files import read_checkpoints
from tests import answers

SEEDS = Path(__file__).parent / "seeds"
NOW = 1_800_000_000.0


class Door(NamedTuple):
    """One reader."""

    name: str
    read: Callable[[bytes], object]
    """Of any bytes; raises one of `refusals`, or AssertionError where what must hold does not."""
    refusals: tuple[type[Exception], ...] = ()

    def seeds(self) -> Sequence[bytes]:
        """The inputs to begin from, sorted by name."""
        return [file.read_bytes() for file in sorted((SEEDS / self.name).iterdir())]


def text(body: bytes) -> str:
    """As a header or a query's part comes: what is no UTF-8 is kept as surrogates."""
    return body.decode(errors="surrogateescape")


# ---- scraped and pushed


@cache
def _kubelet() -> KubeletUsage:
    return KubeletUsage()


def exposition(body: bytes, *, openmetrics: bool = False) -> None:
    for series, value, _ in Parser().parse(body, NOW, openmetrics=openmetrics).points:
        assert series.labels == tuple(sorted(series.labels))
        assert isinstance(value, float)
        assert all(key and held for key, held in series.labels)


def kubelet(body: bytes) -> None:
    usage = _kubelet()
    for step in range(2):
        usage.update("node", Parser().parse(body, NOW + step).points)
        assert all(one.window > 0 for pod in usage.pods().values() for one in pod.values())


def otlp(read: Callable[[bytes], Any]) -> Callable[[bytes], None]:
    def decode_request(body: bytes) -> None:
        request = read(body)
        Decoder().decode(request, NOW)

    return decode_request


# ---- Prometheus and Kubernetes


def samples(body: bytes) -> None:
    run(answers.read(wire.Vector(), body, at_once=16).samples())


def series(body: bytes) -> None:
    answers.read(wire.LabelSets(), body, at_once=16)


def refusal(body: bytes) -> None:
    wire.refusal(wire.envelope(body))


def hpa(body: bytes) -> None:
    parsed = decode(body, HorizontalPodAutoscaler)
    raw = msgspec.to_builtins(parsed)
    read_spec(raw)
    read_history(raw)


def pod(body: bytes) -> None:
    Compactor(())(decode(body, Pod))


def certificates(body: bytes) -> None:
    """A bundle as a ConfigMap holds it; what cannot be read is none at all."""
    bundle = read_certificates(text(body), encoded=False)
    assert all(one.not_valid_after_utc for one in bundle)


def message(body: bytes) -> None:
    """Of the cluster, for a terminal."""
    assert plain(text(body)).isprintable()


class Cluster(Model, frozen=True):
    """What the doctor reads, in one document."""

    api_services: tuple[APIService, ...] = ()
    hpas: tuple[HorizontalPodAutoscaler, ...] = ()
    vpas: tuple[Vpa, ...] = ()
    policies: tuple[Policy, ...] = ()
    nodes: tuple[Node, ...] = ()
    node_leases: tuple[Lease, ...] = ()
    rules: dict[str, str] = msgspec.field(default_factory=dict)
    readiness: dict[str, str] = msgspec.field(default_factory=dict)


def cluster(body: bytes) -> None:
    """Whatever is in a cluster, the doctor tells it in lines that can be printed."""
    read = decode(body, Cluster)
    fields = {field: getattr(read, field) for field in read.__struct_fields__}
    fields["rules"] = {name: RulesFile(name, text) for name, text in read.rules.items()}
    seen = Snapshot(now=NOW, **fields)
    report = Report(servers_by_api(seen), findings(seen), ())
    assert all(line.isprintable() for line in report_lines(report))


class Shown(Model, frozen=True):
    """What the console lists, in one document."""

    hpas: tuple[Hpa, ...] = ()
    vpas: tuple[RecommenderVpa, ...] = ()
    policies: tuple[dict[str, Any], ...] = ()


def console(body: bytes) -> None:
    """Whatever is in a cluster, the console's pages have no script but their own, and can be sent."""
    read = decode(body, Shown)
    made = Board(("",), History(length=4), refresh=5.0)
    lists: dict[Kind, Sequence[Any]] = {
        Kind.HPAS: [view_hpa(one, NOW) for one in read.hpas],
        Kind.VPAS: [view_vpa(one) for one in read.vpas],
        Kind.RELEASES: [view for one in read.policies if (view := view_release(one))],
    }
    for kind, items in lists.items():
        made.seen[kind, ""] = Listed[Any]().after_list(items, NOW)
    made.remember(NOW)
    made.remember(NOW + 5)
    for page in (
        hpas.page(made, frame.Asked(frame.HPAS, Wish(), NOW + 5), 600.0),
        releases.page(made, frame.Asked(frame.RELEASES, Wish(), NOW + 5)),
        recommendations.page(made, frame.Asked(frame.RECOMMENDATIONS, Wish(), NOW + 5)),
    ):
        assert page.encode().lower().count(b"<script") == 1


def objects_file(body: bytes) -> None:
    _file(body, read_objects)


# ---- clients


def http2(body: bytes) -> None:
    """Cut in two or not, the same goes through, and what waits is bounded."""
    whole, cut = Gate(), Gate()
    Answers().feed(body)
    through = whole.feed(body)
    assert whole.held <= HEAD_BYTES
    middle = len(body) // 2
    assert cut.feed(body[:middle]) + cut.feed(body[middle:]) == through


def selector(body: bytes) -> None:
    for strict in (True, False):
        parsed = Selector.parse(text(body), strict)
        if strict:
            assert Selector.parse(str(parsed)) == parsed
        parsed.matches({"a": "b"})


def selector_object(body: bytes) -> None:
    raw = json.loads(body)
    if isinstance(raw, dict):
        Selector.from_object(raw, strict_values=False)


def request(body: bytes) -> None:
    """A request line; every question that its path may be, and what it accepts."""
    line, _, accept = text(body).partition("\n")
    info = read_request("GET", line)
    negotiate(accept)
    accepts_gzip(accept)
    for ask in (custom_question, external_question):
        if info.is_resource:
            ask(info, "u")


def traceparent(body: bytes) -> None:
    parent = parent_of(text(body))
    assert parent is None or (0 < parent.trace_id < 2**128 and 0 < parent.span_id < 2**64)


def collector_answer(body: bytes) -> None:
    assert rejected_spans(body) >= 0


def quantity(body: bytes) -> None:
    parsed = Quantity.parse(text(body))
    assert Quantity.parse(str(parsed)).milli() == parsed.milli()


def durations(body: bytes) -> None:
    for read in (duration.parse_go, duration.parse_prometheus, duration.parse_mixed):
        read(text(body))


# ---- operators


def tracing_file(body: bytes) -> None:
    assert 0 <= read_tracing(body.decode()).sampling_rate_per_million <= MILLION


def rules(body: bytes) -> None:
    load(body.decode(), "rules.yaml")


def template(body: bytes) -> None:
    made = Template.parse(body.decode())
    name, matchers = Name("a_total"), Promql('pod="a"')
    fields: dict[str, Any] = {"Series": name, "LabelMatchers": matchers, "LabelValuesByName": {"pod": 'a"b'}}
    made.render(fields | {"GroupBy": Promql("pod"), "GroupBySlice": [Promql("pod")]}, Inserter())


def promql(body: bytes) -> None:
    query = body.decode()
    written = Writer().write(parse(query))
    assert Writer().write(parse(written)) == written
    timestamp_query(query, ["pod"])
    coverage_query(query, ["pod"])


def expression(body: bytes) -> None:
    full_match(text(body)).matches("abc")
    pattern = Regexp(text(body))
    if match := pattern.search("abc"):
        pattern.expand("$1${name}", match)


def policy(body: bytes) -> None:
    raw = documents.policy_of(body, "policy.yaml")
    _, problems = gates.read(raw.get("spec"))
    if not problems and not shape.problems(raw):
        msgspec.convert(raw, RolloutPolicy)


def foreign(body: bytes) -> None:
    """Whatever somebody else's objects say: a policy that comes of them is one that the API server takes."""
    translation = read_foreign(body, "theirs.yaml")
    assert all(str(each).isprintable() for each in translation.findings)
    for each in translation.policies:
        made, problems = gates.read(each["spec"])
        assert not [*problems, *queries.problems(made.gates), *shape.problems(each)]
    assert values(written(translation.objects).encode(), "ours.yaml") == list(translation.objects)


def windows(body: bytes) -> None:
    list(recording.read(body.splitlines(keepends=True), pods=True))


def usage_file(body: bytes) -> None:
    _file(body, lambda path: read_usage([path]))


def checkpoints(body: bytes) -> None:
    _file(body, lambda path: read_checkpoints(path, NOW))


def checkpoint_annotation(body: bytes) -> None:
    restore_extra(States(Aggregation()), 0, body.decode(errors="replace"))


def _file(body: bytes, read: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        path.write_bytes(body)
        read(path)


UNREADABLE = (UnicodeDecodeError,)
DOORS = (
    Door("exposition", exposition),
    Door("openmetrics", lambda body: exposition(body, openmetrics=True)),
    Door("kubelet", kubelet),
    Door("otlp-json", otlp(from_json), (OtlpError,)),
    Door("otlp-protobuf", otlp(from_protobuf), (OtlpError,)),
    Door("prometheus-samples", samples, (SourceError,)),
    Door("prometheus-series", series, (SourceError,)),
    Door("prometheus-error", refusal, (SourceError,)),
    Door("hpa", hpa, (Undecodable, HpaError)),
    Door("pod", pod, (Undecodable,)),
    Door("nested-json", prune),
    Door("certificates", certificates),
    Door("message", message),
    Door("cluster", cluster, (Undecodable,)),
    Door("console", console, (Undecodable,)),
    Door("objects-file", objects_file, (DocumentError,)),
    Door("http2", http2, (RefusedError,)),
    Door("selector", selector, (SelectorError,)),
    Door("selector-object", selector_object, (SelectorError, ValueError, RecursionError)),
    Door("request", request, (RequestError, StatusError)),
    Door("traceparent", traceparent),
    Door("collector-answer", collector_answer),
    Door("tracing-file", tracing_file, (ValueError,)),
    Door("quantity", quantity, (QuantityError,)),
    Door("duration", durations, (ValueError,)),
    Door("rules", rules, (RulesError, *UNREADABLE)),
    Door("template", template, (TemplateError, InsertError, *UNREADABLE)),
    Door("promql", promql, (PromQLError, *UNREADABLE)),
    Door("expression", expression, (RegexpError, UnsupportedQuery)),
    Door("policy", policy, (ManifestError,)),
    Door("import", foreign, (ManifestError,)),
    Door("windows", windows),
    Door("usage-file", usage_file, (UsageError,)),
    Door("checkpoints", checkpoints, (UsageError,)),
    Door("checkpoint-annotation", checkpoint_annotation, (CheckpointError,)),
)
