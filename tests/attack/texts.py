"""Texts that are compiled or parsed: of clients, HPAs, pods and Prometheus."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from tests.attack.attack import attack
from tests.attack.field import CUSTOM, Field, Reply, Source
from tests.attack.objects import NAMESPACE, pods_metric

DEPTH = f"{CUSTOM}/namespaces/{NAMESPACE}/pods/*/queue_depth"
EMBEDDED, PROMETHEUS = (Source.EMBEDDED,), (Source.PROMETHEUS,)
DEEP = 200_000


def ask_with_selector(field: Field, selector: str) -> Reply:
    """Ask for the queue's depth with a metric label selector, and give the answer."""
    return field.ask(f"{DEPTH}?metricLabelSelector={quote(selector)}")


@attack("a selector whose groups nest, on a value of 28 signs", section=1)
def nested_groups(field: Field) -> None:
    field.page("web-0", f'queue_depth{{path="{"a" * 28}"}} 7\n')
    field.hold(1.2)
    for text in ("((([a-z0-9/-]{,}){,}!))", "(a+)+!", "((a|aa)+)+!", "(a*)*b", "[^x]*[^x]*\\.*"):
        answer = ask_with_selector(field, f"path in ({text})")
        assert answer.status in (200, 400, 404), answer


@attack("the same as an HPA's matchExpressions", section=1)
def nested_groups_of_an_hpa(field: Field) -> None:
    field.page("web-0", f'queue_depth{{path="{"a" * 28}"}} 7\n')
    selector = {"matchExpressions": [{"key": "path", "operator": "In", "values": ["((([a-z0-9/-]{,}){,}!))"]}]}
    name = f"bad-{field.count()}"
    field.add_hpa(name, [pods_metric("queue_depth", selector)])
    field.hold(2)


@attack("100 selectors whose expressions are large", section=1)
def large_expressions(field: Field) -> None:
    first = field.count() * 100
    with ThreadPoolExecutor(32) as some:
        texts = [f"a in ({number:05}\\w{{200}})" for number in range(first, first + 100)]
        answers = list(some.map(lambda text: ask_with_selector(field, text), texts))
    assert {answer.status for answer in answers} <= {200, 400, 404, 429, 503}, answers[0]


@attack("an HPA with 20 metrics of such selectors", section=1)
def large_expressions_of_an_hpa(field: Field) -> None:
    first = field.count() * 20

    def metrics() -> Iterator[dict[str, object]]:
        for number in range(first, first + 20):
            expression = {"key": "a", "operator": "In", "values": [f"{number:04}\\w{{200}}"]}
            yield pods_metric("queue_depth", {"matchExpressions": [expression]})

    field.add_hpa(f"large-{first}", list(metrics()))
    field.hold(2)


@attack("14 selectors of large or many expressions over 900 values of 4,000 characters", section=1, sources=EMBEDDED)
def long_values(field: Field) -> None:
    """Of each character of a value such an expression may have to try thousands of instructions."""
    field.page("web-0", "".join(f'queue_depth{{path="{number:05}{"ab" * 1990}"}} 4321\n' for number in range(900)))
    deadline = time.monotonic() + 5
    while b'"4321"' not in field.ask(DEPTH).body and time.monotonic() < deadline:
        field.hold(0.2)
    texts = [f"path notin ((.*[ab].{{{90 - number}}}){{8}}.*z)" for number in range(4)]
    many = range(64)
    texts += [",".join(f"path notin (.*a.*b.*{each}{number}.*x)" for number in many) for each in range(10)]
    with ThreadPoolExecutor(14) as some:
        answers = list(some.map(lambda text: ask_with_selector(field, text), texts))
    assert {answer.status for answer in answers} <= {200, 503}, answers[0]
    field.hold(1.5)


@attack("500 anonymous requests of distinct paths of 60 kB", section=1)
def long_paths(field: Field) -> None:
    """Kept, each would take 248 kB: 124 MB."""
    first = field.count() * 500
    with ThreadPoolExecutor(8) as some:
        paths = (f"/{number}/" + "p" * 60_000 for number in range(first, first + 500))
        answers = list(some.map(lambda path: field.ask(path, token="").status, paths))
    assert set(answers) <= {403, 404, 414, 429, 431}, set(answers)


@attack("lines of blanks in OpenMetrics, of 16 kB and 1 MB", section=1, sources=EMBEDDED)
def blanks(field: Field) -> None:
    body = "queue_depth 7\n" + (" " * 16_000 + "x\n") * 200 + " " * 2**20 + "x\n# EOF\n"
    field.page("web-0", body.encode(), content_type="application/openmetrics-text")
    field.hold(2)


@attack("a page of lines that are almost right", section=1, sources=EMBEDDED)
def almost_right(field: Field) -> None:
    lines = (
        "a_depth{" + 'b="\\\\",' * 2000 + "\n",
        "{" * 16_000 + "\n",
        'a{b="' + "\\" * 16_000 + "\n",
        "a{b=" * 4000 + "\n",
    )
    field.page("web-0", "".join(lines) * 100)
    field.hold(2)


@attack("a name that makes the parser of PromQL panic, and an HPA on it", section=1, sources=PROMETHEUS)
def panic(field: Field) -> None:
    for name in ("x_depth offset NaN or y_depth", 'x_depth or queue_depth{namespace="victim"} or y_depth'):
        field.series([({"__name__": name, "namespace": NAMESPACE, "pod": "web-0"}, "1")])
        field.add_hpa(f"panic-{field.count()}", [pods_metric(name)])
        field.hold(1.2)


@attack("JSON nested deeply in a Pod's managedFields", section=1)
def deep_pod(field: Field) -> None:
    name = f"deep-{field.count()}"
    deep = '{"a":' * 5000 + "1" + "}" * 5000
    head = {"metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "web"}}}
    text = json.dumps(head).replace('"labels"', f'"managedFields":[{{"fieldsV1":{deep}}}],"labels"', 1)
    field.send_to_kubernetes("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", text.encode(), name=name)
    field.hold(1)


@attack("JSON nested deeply in Prometheus' answers", section=1, sources=PROMETHEUS)
def deep_answers(field: Field) -> None:
    field.prometheus_answers("series", b'{"status":"success","data":[],"infos":' + b"[" * DEEP + b"]" * DEEP + b"}")
    field.hold(2.5)
