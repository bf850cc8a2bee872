"""Are recommendations made and written?"""

from typing import Final

from loadtest.monitoring.board import Board, Graph, Line, Number, Section
from loadtest.monitoring.queries import namespaces, newest, quantile, rate, total, within

RECOMMENDER: Final = Board(
    name="recommender",
    title="Recommender",
    about="Whether recommendations are made and written, from how much it knows, and what it costs.",
    variables=[namespaces("streamgate_recommender_leading")],
    sections=[
        Section(
            "Does it work?",
            [
                Number(
                    "Acting",
                    "short",
                    "Replicas that hold the lease: 1 is right.",
                    [Line(total("streamgate_recommender_leading"))],
                    wide=6,
                ),
                Number(
                    "Since the last loop",
                    "s",
                    "A loop a minute is usual.",
                    [
                        Line(
                            f"time() - {newest('streamgate_recommender_last_loop_timestamp_seconds', 'pod')}", "{{pod}}"
                        )
                    ],
                    wide=6,
                ),
                Number(
                    "Since the last usage",
                    "s",
                    "How long metrics.k8s.io has given nothing.",
                    [
                        Line(
                            f"time() - {newest('streamgate_recommender_last_metrics_timestamp_seconds', 'pod')}",
                            "{{pod}}",
                        )
                    ],
                    wide=6,
                ),
                Number(
                    "OOM kills in 24 h",
                    "short",
                    "How often containers with a VPA were killed for their memory.",
                    [Line(f"sum(increase(streamgate_recommender_oom_kills_total{{{within()}}}[1d]))")],
                    wide=6,
                ),
            ],
        ),
        Section(
            "Work",
            [
                Graph(
                    "VPAs",
                    "short",
                    "By mode, and whether they have a recommendation.",
                    [
                        Line(
                            total("vpa_recommender_vpa_objects_count", "update_mode, has_recommendation"),
                            "{{update_mode}}, recommendation {{has_recommendation}}",
                        )
                    ],
                ),
                Graph(
                    "Containers",
                    "short",
                    "Running containers that are followed, and those with history.",
                    [
                        Line(newest("streamgate_recommender_instances", "pod"), "running, {{pod}}"),
                        Line(
                            newest("vpa_recommender_aggregate_container_states_count", "pod"), "with history, {{pod}}"
                        ),
                    ],
                ),
                Graph(
                    "Samples",
                    "cps",
                    "By what became of them.",
                    [Line(rate("streamgate_recommender_samples_total", "result"), "{{result}}")],
                ),
                Graph(
                    "Writes",
                    "cps",
                    "Objects written, by kind and result.",
                    [Line(rate("streamgate_recommender_writes_total", "object, result"), "{{object}} {{result}}")],
                ),
                Graph(
                    "Time of a step (p95)",
                    "s",
                    "Where a loop spends its time.",
                    [Line(quantile(0.95, "vpa_recommender_execution_latency_seconds", "step"), "{{step}}")],
                ),
                Graph(
                    "Wait for the first recommendation (p95)",
                    "s",
                    "From the creation of a VPA.",
                    [Line(quantile(0.95, "vpa_recommender_recommendation_latency_seconds", "pod"), "{{pod}}")],
                ),
                Graph(
                    "Memory",
                    "bytes",
                    "Of the whole process, and of all containers' states.",
                    [
                        Line(
                            newest(
                                "process_resident_memory_bytes",
                                "pod",
                                'pod=~".*recommender.*"',
                            ),
                            "process, {{pod}}",
                        ),
                        Line(newest("streamgate_recommender_state_bytes", "pod"), "states, {{pod}}"),
                    ],
                ),
            ],
        ),
    ],
)
