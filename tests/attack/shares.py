"""One tenant against the others: metrics of an HPA, names and labels of a pod, requirements of a selector."""

from urllib.parse import quote

from tests.attack.attack import attack
from tests.attack.field import CUSTOM, Field, Source
from tests.attack.objects import NAMESPACE, pods_metric


@attack("an HPA with 600 metrics of distinct selectors", section=3)
def many_selectors(field: Field) -> None:
    first = field.count() * 600
    metrics = [pods_metric("queue_depth", {"matchLabels": {"path": f"p{first + number}"}}) for number in range(600)]
    field.add_hpa(f"greedy-{first}", metrics)
    field.hold(3)


@attack("a pod with 50,000 metric names", section=3, sources=(Source.EMBEDDED,), apart=True)
def many_names(field: Field) -> None:
    field.page("web-0", "".join(f"name_{number} 1\n" for number in range(50_000)))
    field.hold(3)


@attack(
    "12 more pods of one namespace, 5,000 metric names of their own each",
    section=3,
    sources=(Source.EMBEDDED,),
    flags=("--retention=60s",),
    apart=True,
)
def many_pods_with_names(field: Field) -> None:
    """As many samples of a series as by default, which scrapes every 5 s; 36 pods after three tries."""
    first = field.count() * 12
    for pod in range(first, first + 12):
        field.page(f"crowd-{pod}", "".join(f'crowd_{pod}_{number}{{path="x"}} 1\n' for number in range(5_000)))
        field.add_pod(f"crowd-{pod}", app="crowd")
    field.hold(8)


@attack("20,000 more metric names in Prometheus, of 500 namespaces", section=3, sources=(Source.PROMETHEUS,))
def crowded_names(field: Field) -> None:
    """All before `queue_depth` in the alphabet, and over --discovery-max-names."""
    names = [(f"n{number}_depth", f"crowd-{number % 500}") for number in range(20_000)]
    field.series([({"__name__": name, "namespace": namespace, "pod": "web-0"}, "1") for name, namespace in names])
    field.hold(5)


@attack("a selector with 5,000 requirements", section=3)
def many_requirements(field: Field) -> None:
    selector = ",".join(f"!k{number}" for number in range(5_000))
    answer = field.ask(f"{CUSTOM}/namespaces/{NAMESPACE}/pods/*/queue_depth?labelSelector={quote(selector)}")
    assert answer.status in (200, 400, 404, 414, 431), answer


@attack("pages of 9.6 MB, every label value new", section=3, sources=(Source.EMBEDDED,), apart=True)
def new_values(field: Field) -> None:
    """10,920 series a page, each with a value of 860 characters that no page before had."""
    for _ in range(3):
        first = field.count() * 10_920
        page = "".join(f'depth{{path="{first + number:0860}"}} 1\n' for number in range(10_920))
        assert len(page) > 9_500_000
        field.page("web-0", page)
        field.hold(1.5)
