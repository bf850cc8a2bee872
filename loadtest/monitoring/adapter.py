"""Do HPAs get values?"""

from typing import Final

from loadtest.monitoring.board import Board, Graph, Line, Number, Section
from loadtest.monitoring.queries import namespaces, newest, quantile, rate, share, total, within

ADAPTER: Final = Board(
    name="adapter",
    title="Adapter",
    about="Whether HPAs get values: what is on offer, how old values are, whether the source answers.",
    variables=[namespaces("streamgate_offers")],
    sections=[
        Section(
            "Do HPAs get values?",
            [
                Number(
                    "Metrics on offer",
                    "short",
                    "What the APIs list. 0: rules and series do not meet.",
                    [Line(newest("streamgate_offers", "group"), "{{group}}")],
                    wide=6,
                ),
                Number(
                    "HPAs",
                    "short",
                    "HPAs whose metrics are known before they ask.",
                    [Line(newest("streamgate_hpas", "pod"), "{{pod}}")],
                ),
                Number(
                    "Values held",
                    "short",
                    "Values in memory, from which requests are answered.",
                    [Line(total("streamgate_snapshot_values", "pod"), "{{pod}}")],
                ),
                Number(
                    "Source errors",
                    "percentunit",
                    "Queries of the last five minutes that failed, of the worst rule.",
                    [Line(f"max(rule:streamgate_source_errors:ratio_rate5m{{{within()}}})", "worst rule")],
                    wide=5,
                ),
                Number(
                    "Longest turn",
                    "s",
                    "For how long the event loop was held at most in the last minute. Above 0.5 s all answers wait.",
                    [Line(newest("streamgate_event_loop_lateness_seconds", "pod"), "{{pod}}")],
                    wide=5,
                ),
            ],
        ),
        Section(
            "Answers",
            [
                Graph(
                    "Requests",
                    "reqps",
                    "Answers a second, by API and code. 503: the source; 429: too many at once.",
                    [Line(rate("apiserver_request_duration_seconds_count", "group, code"), "{{group}} {{code}}")],
                ),
                Graph(
                    "Time of an answer (p99)",
                    "s",
                    "From memory it is milliseconds; a request that no plan covers waits for the source.",
                    [Line(quantile(0.99, "apiserver_request_duration_seconds", "group, verb"), "{{group}} {{verb}}")],
                ),
                Graph(
                    "Age of values (p95)",
                    "s",
                    "The oldest value of an answer. An HPA acts that much late.",
                    [Line(quantile(0.95, "metrics_apiserver_metric_freshness_seconds", "group"), "{{group}}")],
                ),
                Graph(
                    "Left out of answers",
                    "cps",
                    "Values too old, not finite or negative, by rule and reason.",
                    [Line(rate("streamgate_values_left_out_total", "rule, why"), "{{rule}}: {{why}}")],
                ),
                Graph(
                    "Not covered by the plan",
                    "reqps",
                    "Requests that had to wait for the source.",
                    [Line(rate("streamgate_uncovered_requests_total", "group"), "{{group}}")],
                ),
                Graph(
                    "Who asks",
                    "reqps",
                    "Reviews by what came of them. error: the API server could not be asked.",
                    [
                        Line(rate("streamgate_authentications_total", "result"), "caller {{result}}"),
                        Line(rate("streamgate_authorizations_total", "result"), "request {{result}}"),
                    ],
                ),
            ],
        ),
        Section(
            "Source",
            [
                Graph(
                    "Queries",
                    "reqps",
                    "Queries sent, by rule. One serves all HPAs on a rule where its template allows it.",
                    [Line(rate("streamgate_source_queries_total", "rule"), "{{rule}}")],
                ),
                Graph(
                    "Queries that fail",
                    "percentunit",
                    "By rule. HPAs on a rule that fails hold their size.",
                    [Line(f"max by (rule) (rule:streamgate_source_errors:ratio_rate5m{{{within()}}})", "{{rule}}")],
                ),
                Graph(
                    "Time of a query (p95)",
                    "s",
                    "By rule, and the wait for its turn at the source.",
                    [
                        Line(quantile(0.95, "streamgate_source_query_duration_seconds", "rule"), "{{rule}}"),
                        Line(quantile(0.95, "streamgate_source_wait_seconds", "pod"), "wait, {{pod}}"),
                    ],
                ),
                Graph(
                    "Scrape targets (embedded)",
                    "short",
                    "Pods and kubelets that are scraped, and those whose last scrape failed.",
                    [
                        Line(newest("streamgate_scrape_targets", "pod"), "{{pod}}"),
                        Line(newest("streamgate_scrape_targets_failing", "pod"), "{{pod}} failing"),
                    ],
                ),
                Graph(
                    "Series held (embedded)",
                    "short",
                    "At the limit (--max-series) samples of new series are refused.",
                    [Line(newest("streamgate_store_series", "pod"), "{{pod}}")],
                ),
                Graph(
                    "Samples refused (embedded)",
                    "short",
                    "Since the start, for the limit on series.",
                    [Line(newest("streamgate_store_refused_samples", "pod"), "{{pod}}")],
                ),
            ],
        ),
        Section(
            "Inside",
            [
                Graph(
                    "Silence of the API server",
                    "s",
                    "Since it last told of pods and HPAs; a bookmark comes each minute. Nothing without a cluster.",
                    [
                        Line(newest("streamgate_informer_pods_age_seconds", "pod"), "pods, {{pod}}"),
                        Line(newest("streamgate_informer_hpas_age_seconds", "pod"), "HPAs, {{pod}}"),
                    ],
                ),
                Graph(
                    "Memories",
                    "percentunit",
                    "How full each memory is that is bounded in bytes.",
                    [
                        Line(
                            share(
                                newest("streamgate_memory_bytes", "memory"),
                                newest("streamgate_memory_limit_bytes", "memory"),
                            ),
                            "{{memory}}",
                        )
                    ],
                ),
                Graph(
                    "Connections",
                    "short",
                    "Open connections, and requests in progress.",
                    [
                        Line(newest("streamgate_connections", "pod"), "{{pod}}"),
                        Line(newest("apiserver_current_inflight_requests", "pod"), "in progress, {{pod}}"),
                    ],
                ),
            ],
        ),
    ],
)
