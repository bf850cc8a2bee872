"""What pods ask for, use and cost."""

from typing import Final

from loadtest.monitoring.board import Board, Graph, Line, Number, Section
from loadtest.monitoring.queries import namespaces, share, total, within

HOUR: Final = "namespace:streamgate_cost:per_hour"
COST: Final = Board(
    name="cost",
    title="Cost",
    about="What pods ask for, what they use of it, and what that costs by the prices in the recording rules.",
    variables=[namespaces("kube_pod_container_resource_requests")],
    sections=[
        Section(
            "Money",
            [
                Number(
                    "An hour",
                    "currencyUSD",
                    "What pods ask for now, in the currency of the two prices.",
                    [Line(total(HOUR))],
                    wide=6,
                ),
                Number(
                    "A month at this rate",
                    "currencyUSD",
                    "730 hours.",
                    [Line(f"730 * {total(HOUR)}")],
                    wide=6,
                ),
                Number(
                    "CPU in use",
                    "percentunit",
                    "Of what is asked for. Far below 0.5 money lies idle.",
                    [
                        Line(
                            share(
                                total("namespace:streamgate_cpu_used:cores"),
                                total("namespace:streamgate_cpu_requests:cores"),
                            )
                        )
                    ],
                    wide=6,
                ),
                Number(
                    "Memory in use",
                    "percentunit",
                    "Of what is asked for. Near 1 pods are evicted first.",
                    [
                        Line(
                            share(
                                total("namespace:streamgate_memory_used:bytes"),
                                total("namespace:streamgate_memory_requests:bytes"),
                            )
                        )
                    ],
                    wide=6,
                ),
                Graph(
                    "Cost by namespace",
                    "currencyUSD",
                    "An hour.",
                    [Line(total(HOUR, "namespace"), "{{namespace}}")],
                    wide=12,
                ),
                Graph(
                    "Against the day before",
                    "percentunit",
                    "1: as on average over the last day. The alert fires from 1.5 on.",
                    [
                        Line(
                            share(
                                total(HOUR, "namespace"),
                                f"sum by (namespace) (avg_over_time({HOUR}{{{within()}}}[1d] offset 1h))",
                            ),
                            "{{namespace}}",
                        )
                    ],
                    wide=12,
                ),
            ],
        ),
        Section(
            "Asked for and used",
            [
                Graph(
                    "CPU",
                    "short",
                    "Cores.",
                    [
                        Line(total("namespace:streamgate_cpu_requests:cores", "namespace"), "{{namespace}} asked"),
                        Line(total("namespace:streamgate_cpu_used:cores", "namespace"), "{{namespace}} used"),
                    ],
                    wide=12,
                ),
                Graph(
                    "Memory",
                    "bytes",
                    "Bytes.",
                    [
                        Line(total("namespace:streamgate_memory_requests:bytes", "namespace"), "{{namespace}} asked"),
                        Line(total("namespace:streamgate_memory_used:bytes", "namespace"), "{{namespace}} used"),
                    ],
                    wide=12,
                ),
            ],
        ),
    ],
)
