"""Every HPA, and whether it can act."""

from typing import Final

from loadtest.monitoring.board import Board, Graph, Line, Number, Section, Variable
from loadtest.monitoring.queries import namespaces, newest, total, within

KUBE: Final = "kube_horizontalpodautoscaler"
BY: Final = "namespace, horizontalpodautoscaler"
OF_HPA: Final = 'horizontalpodautoscaler=~"$hpa"'


HPA: Final = "{{namespace}}/{{horizontalpodautoscaler}}"


def of_hpa(metric: str) -> str:
    """A metric of kube-state-metrics, by HPA."""
    return newest(f"{KUBE}_{metric}", BY, OF_HPA)


def of_metric(metric: str) -> str:
    """The same, by what the HPA scales on."""
    return newest(f"{KUBE}_{metric}", f"{BY}, metric_name, metric_target_type", OF_HPA)


def with_condition(kind: str, status: str) -> str:
    """How many HPAs have a condition."""
    matchers = f'{OF_HPA}, condition="{kind}", status="{status}"'
    return total(f"{KUBE}_status_condition", matchers=matchers)


HPAS: Final = Board(
    name="hpas",
    title="HPAs",
    about="Every HPA: its size, its limits, its metric against the target, and whether it can act at all.",
    variables=[
        namespaces(f"{KUBE}_spec_max_replicas"),
        Variable(
            "hpa",
            "HPA",
            f"label_values({KUBE}_spec_max_replicas{{{within()}}}, horizontalpodautoscaler)",
        ),
    ],
    sections=[
        Section(
            "Do they act?",
            [
                Number(
                    "HPAs",
                    "short",
                    "How many there are in these namespaces.",
                    [Line(f"count({of_hpa('spec_max_replicas')})")],
                    wide=6,
                ),
                Number(
                    "Without a metric",
                    "short",
                    "HPAs whose condition ScalingActive is False: they hold their size.",
                    [Line(with_condition("ScalingActive", "false"))],
                    wide=6,
                ),
                Number(
                    "At maxReplicas",
                    "short",
                    "HPAs that cannot grow.",
                    [Line(f"sum(hpa:streamgate_fill:ratio{{{within(OF_HPA)}}} >= bool 1)")],
                    wide=6,
                ),
                Number(
                    "Limited",
                    "short",
                    "HPAs that want another size than they may have (condition ScalingLimited).",
                    [Line(with_condition("ScalingLimited", "true"))],
                    wide=6,
                ),
            ],
        ),
        Section(
            "Size",
            [
                Graph(
                    "Replicas",
                    "short",
                    "What is there, and what the HPA wants.",
                    [
                        Line(of_hpa("status_current_replicas"), HPA),
                        Line(of_hpa("status_desired_replicas"), f"{HPA} wanted"),
                    ],
                    wide=12,
                ),
                Graph(
                    "Share of maxReplicas",
                    "percentunit",
                    "1: it cannot grow any more.",
                    [
                        Line(
                            newest("hpa:streamgate_fill:ratio", BY, OF_HPA),
                            HPA,
                        )
                    ],
                    wide=12,
                ),
                Graph(
                    "Metric over target",
                    "percentunit",
                    "1: as wanted; 1.5: half as much again, so the HPA grows.",
                    [
                        Line(
                            f"{of_metric('status_target_metric')} / {of_metric('spec_target_metric')}",
                            f"{HPA} {{{{metric_name}}}}",
                        )
                    ],
                    wide=12,
                ),
                Graph(
                    "Changes of mind",
                    "short",
                    "How often the wanted size changed in half an hour. Above 10 it flaps.",
                    [
                        Line(
                            f"max by ({BY}) (changes({KUBE}_status_desired_replicas{{{within(OF_HPA)}}}[30m]))",
                            HPA,
                        )
                    ],
                    wide=12,
                ),
            ],
        ),
    ],
)
