"""Names and values from outside keep their place: whatever they are, the query has the shape of its template."""

from typing import Any

import promql_parser as ast
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.promql.walk import children, matchers, selectors
from adapter.rules.config import load
from adapter.rules.merge import merge_external, merge_objects
from adapter.rules.naming import BoundRule, bind
from adapter.rules.queries import QueryError, custom_query, external_query
from adapter.rules.resources import PODS, ResourceMapper
from adapter.units.requirement import Operator, Requirement
from adapter.units.selector import Selector

OVERRIDES = {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}

TEMPLATES = [
    "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
    "sum(rate(<<.Series>>_total{<<.LabelMatchers>>}[2m])) / sum(rate(a_<<.Series>>{<<.LabelMatchers>>}[2m]))",
    'sum({__name__=~"^<<.Series>>.*",<<.LabelMatchers>>})',
    'x{a="<<index .LabelValuesByName "queue">>"} + <<.Series>>{<<.LabelMatchers>>}',
    "x{a='<<index .LabelValuesByName \"queue\">>',b=`<<.Series>>`}",
    'x{<<range $k, $v := .LabelValuesByName>><<$k>>=~"<<$v>>",<<end>>}',
    'x_<<index .LabelValuesByName "queue">>{<<.LabelMatchers>>} # <<.Series>>',
    'x{a="\\\\<<index .LabelValuesByName "queue">>"}',
    'x > <<index .LabelValuesByName "queue">>',
    'rate(x{b="#"}[<<index .LabelValuesByName "queue">>])',
]

BAD_NAMES = [
    'x_depth or secret_depth{namespace="victim"} or y_depth',
    "x_depth offset NaN or y_depth",
    "x-secret_depth",
    "x}[5m] + y{",
    "or",
    "NaN",
    "Inf",
    "5",
    'x" or y or "',
    "x` or y or `",
    "x\\",
    "x\nor y",
    "x.y",
    "x y",
    "é",
    "\ud800",
    "x #",
]
BAD_VALUES = [
    'a"} or secret{a="b',
    "a'} or secret{a='b",
    "a\\",
    'a\\"} or secret{a=\\"',
    "1-secret_depth",
    "secret",
    "series",
    "1 or secret",
    "a\n",
    "`} or secret #",
    "",
    "5m",
    "5m] or y[5m",
    "x.y",
]

NAMES = st.one_of(st.sampled_from(BAD_NAMES), st.text(max_size=8), st.from_regex(r"\A[a-z_:][a-z0-9_:]{0,8}\Z"))
VALUES = st.one_of(st.sampled_from(BAD_VALUES), st.text("ab\"'`\\\n{}#,=|.-1 ", max_size=8), st.text(max_size=8))


def rule(template: str, mapper: ResourceMapper, section: str = "rules") -> BoundRule[Any]:
    raw = {"seriesQuery": "x", "resources": {"overrides": OVERRIDES}, "metricsQuery": template}
    file = load(yaml.safe_dump({section: [raw]}), "c")
    return bind((file.custom or file.external)[0], mapper)


def shape(node: ast.Expr) -> Any:
    """Everything of a query but its names, values and lengths; of a matcher the label alone: a value may be a list."""
    own: list[Any] = [type(node).__name__, [shape(child) for child in children(node)]]
    if isinstance(node, ast.VectorSelector):
        labels = [label for label, _, _ in matchers(node)]
        named = bool(node.name) + labels.count("__name__")  # a name is written before the braces or inside them
        own += [named, sorted(label for label in labels if label != "__name__"), node.offset, node.at]
        own.append(len(node.matchers.or_matchers))
    if isinstance(node, ast.AggregateExpr | ast.BinaryExpr):
        own.append(str(node.op))
    if isinstance(node, ast.Call):
        own.append(node.func.name)
    return own


def selecting(value: str) -> Selector:
    return Selector([Requirement("queue", Operator.IN, (value,))])


@pytest.mark.parametrize("template", TEMPLATES)
@given(series=NAMES, value=VALUES)
@example(series=BAD_NAMES[0], value="a")
@example(series="a", value=BAD_VALUES[0])
@example(series="a", value=BAD_VALUES[3])
@example(series="a", value=BAD_VALUES[4])
def test_any_name_and_value_leave_the_shape_of_the_template(
    mapper: ResourceMapper, template: str, series: str, value: str
) -> None:
    bound, external = rule(template, mapper), rule(template, mapper, "externalRules")
    plain = "5m" if "[<<" in template else "5"
    for ask in (
        lambda name, text: custom_query(
            bound, name, resource=PODS, namespace="shop", names=["a", "b"], metric_selector=selecting(text)
        ),
        lambda name, text: external_query(external, name, "shop", selecting(text)),
        lambda name, text: merge_objects(bound, name, PODS, ["shop"], selecting(text)),
        lambda name, text: getattr(
            merge_external(external, name, ["shop"], [Selector([Requirement("queue", Operator.EQUALS, (text,))])]),
            "promql",
            None,
        ),
    ):
        try:
            asked = ask(series, value)
            own_shape = None if asked is None else shape(parse(asked))
        except (QueryError, PromQLError):
            continue  # left out, with a sentence
        assert own_shape is None or own_shape == shape(parse(ask("series", plain)))


@pytest.mark.parametrize("series", [name for name in BAD_NAMES if name != "\ud800"])
def test_a_name_that_is_no_classic_one_stands_in_the_braces(mapper: ResourceMapper, series: str) -> None:
    for template, after in (
        (TEMPLATES[0], ""),
        ("sum(rate(<<.Series>> {<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)", ""),
        ('sum(<<.Series>>{ job="a", <<.LabelMatchers>>}) by (<<.GroupBy>>)', 'job="a",'),
    ):
        query = custom_query(rule(template, mapper), series, resource=PODS, namespace="shop", names=["a"])
        [selector] = selectors(parse(query))
        assert (selector.name or {key: value for key, _, value in matchers(selector)}["__name__"]) == series
        assert after.replace(" ", "") in query.replace(" ", "")
        assert merge_objects(rule(template, mapper), series, PODS, ["shop"]) is not None


@pytest.mark.parametrize(
    ("template", "query"),
    [
        ("<<.Series>>", '{__name__="a.b"}'),
        ("max(<<.Series>>)", 'max({__name__="a.b"})'),
        ("<<.Series>>{}", '{__name__="a.b"}'),
        ("<<.Series>>{<<.LabelMatchers>>}[5m]", '{__name__="a.b",}[5m]'),
        ("<<.Series>> / <<.Series>> offset 5m", '{__name__="a.b"} / {__name__="a.b"} offset 5m'),
        ('x{y="<<.Series>>"} # <<.Series>>', 'x{y="a.b"} # a.b'),
    ],
)
def test_such_a_name_is_written_as_every_prometheus_reads_it(mapper: ResourceMapper, template: str, query: str) -> None:
    bound = rule(template, mapper, "externalRules")
    assert external_query(bound, "a.b", "", Selector()) == query
    parse(query)


@pytest.mark.parametrize(
    ("series", "template"),
    [
        ("\ud800", TEMPLATES[0]),
        ("", TEMPLATES[0]),
        ("a.b", "sum(<<.Series>>_total{<<.LabelMatchers>>})"),
        ("a.b", "sum(x_<<.Series>>{<<.LabelMatchers>>})"),
        ("a.b", 'x{<<.Series>>="y",<<.LabelMatchers>>}'),
    ],
)
def test_a_name_that_cannot_stand_where_the_template_puts_it_is_left_out_with_a_sentence(
    mapper: ResourceMapper, series: str, template: str
) -> None:
    with pytest.raises(QueryError, match="is no classic metric name"):
        custom_query(rule(template, mapper), series, resource=PODS, namespace="shop", names=["a"])


def test_within_quotes_any_name_can_be_asked_for(mapper: ResourceMapper) -> None:
    bound = rule('{__name__="<<.Series>>",<<.LabelMatchers>>}', mapper)
    query = custom_query(bound, 'http.server "duration"\\', resource=PODS, namespace="shop", names=["a"])
    assert query == '{__name__="http.server \\"duration\\"\\\\",namespace="shop",pod="a"}'


def test_a_value_is_escaped_for_the_quotes_that_it_stands_in(mapper: ResourceMapper) -> None:
    bound = rule(TEMPLATES[3], mapper, "externalRules")
    query = external_query(bound, "y", "", selecting('a"} or secret{a="b'))
    assert query.startswith('x{a="a\\"} or secret{a=\\"b"} + y{')


@pytest.mark.parametrize("key", ["k8s-app", "app.kubernetes.io/name"])
def test_a_key_that_is_no_label_of_prometheus_is_said_or_quoted_where_the_source_reads_that(
    mapper: ResourceMapper, key: str
) -> None:
    bound = rule("sum(<<.Series>>{<<.LabelMatchers>>})", mapper, "externalRules")
    with pytest.raises(QueryError, match=f"'{key}' is no label's name in Prometheus"):
        external_query(bound, "y", "", Selector.parse(f"{key}=a"))
    bound.quotes = True
    query = external_query(bound, "y", "", Selector.parse(f"{key}=a"))
    assert query == f'sum(y{{"{key}"="a"}})'
    assert [key for selector in selectors(parse(query)) for key, _, _ in matchers(selector)] == [key]


def test_a_resources_label_that_is_no_word_is_quoted(mapper: ResourceMapper) -> None:
    raw = {
        "seriesQuery": "x",
        "resources": {
            "overrides": {"k8s.namespace.name": {"resource": "namespace"}, "k8s.pod.name": {"resource": "pod"}}
        },
        "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
    }
    bound = bind((load(yaml.safe_dump({"rules": [raw]}), "c").custom or ())[0], mapper)
    query = custom_query(bound, "a.b", resource=PODS, namespace="shop", names=["web"])
    assert query == ('sum({__name__="a.b","k8s.namespace.name"="shop","k8s.pod.name"="web"}) by ("k8s.pod.name")')
    assert '"k8s.namespace.name"' in (merge_objects(bound, "a.b", PODS, ["shop"]) or "")
