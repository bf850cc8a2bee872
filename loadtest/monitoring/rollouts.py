"""Where releases stand, and how they ended."""

from typing import Final

from loadtest.monitoring.board import Board, Graph, Line, Number, Section, Variable
from loadtest.monitoring.queries import namespaces, newest, rate, within

OF_POLICY: Final = 'policy=~"$policy"'
RELEASES: Final = "streamgate_rollout_releases_total"
WAY_BACK: Final = "histogram_quantile(0.9, sum by (le) (increase(streamgate_rollout_return_seconds_bucket[7d])))"


def releases_by_outcome(outcome: str) -> str:
    """The PromQL query for how many releases ended with `outcome` in the last week."""
    return f'sum(increase({RELEASES}{{{within(OF_POLICY)}, outcome="{outcome}"}}[7d])) or vector(0)'


ROLLOUTS: Final = Board(
    name="rollouts",
    title="Rollouts",
    about="Releases: where each stands, how much traffic the new pods have, what the gates say, how they ended.",
    variables=[
        namespaces("streamgate_rollout_phase"),
        Variable("policy", "Policy", 'label_values(streamgate_rollout_phase{namespace=~"$namespace"}, policy)'),
    ],
    sections=[
        Section(
            "Now",
            [
                Number(
                    "Releases under way",
                    "short",
                    "Policies that are in no rest.",
                    [Line(f'sum(streamgate_rollout_phase{{{within(OF_POLICY)}, phase!="Idle"}}) or vector(0)')],
                    wide=6,
                ),
                Number(
                    "Promoted in 7 days",
                    "short",
                    "Releases that the gates let through.",
                    [Line(releases_by_outcome("Promoted"))],
                    wide=6,
                ),
                Number(
                    "Rolled back in 7 days",
                    "short",
                    "Releases that a gate was against.",
                    [Line(releases_by_outcome("RolledBack"))],
                    wide=6,
                ),
                Number(
                    "Way back (p90)",
                    "s",
                    "From a verdict against the new pods until no new connection goes there. Above 5 s it is slow.",
                    [Line(WAY_BACK)],
                    wide=6,
                ),
            ],
        ),
        Section(
            "Releases",
            [
                Graph(
                    "Phase",
                    "short",
                    "1 for the phase that a policy is in.",
                    [
                        Line(
                            newest("streamgate_rollout_phase", "namespace, policy, phase", OF_POLICY),
                            "{{namespace}}/{{policy}} {{phase}}",
                        )
                    ],
                    wide=12,
                ),
                Graph(
                    "Weight",
                    "percent",
                    "Traffic given to the new pods.",
                    [
                        Line(
                            newest("streamgate_rollout_weight_percent", "namespace, policy", OF_POLICY),
                            "{{namespace}}/{{policy}}",
                        )
                    ],
                    wide=12,
                ),
                Graph(
                    "Verdicts",
                    "cps",
                    "Windows judged: promote, hold, rollback.",
                    [
                        Line(
                            rate("streamgate_rollout_verdicts_total", "namespace, policy, verdict", OF_POLICY),
                            "{{namespace}}/{{policy}} {{verdict}}",
                        )
                    ],
                ),
                Graph(
                    "Ended",
                    "short",
                    "Releases an hour, by how they ended.",
                    [
                        Line(
                            f"sum by (outcome) (increase({RELEASES}{{{within(OF_POLICY)}}}[1h]))",
                            "{{outcome}}",
                        )
                    ],
                ),
                Graph(
                    "Turns",
                    "cps",
                    "Looks at policies; failed ones stand still until the next.",
                    [
                        Line("sum by (result) (rate(streamgate_rollout_turns_total[$__rate_interval]))", "{{result}}"),
                        Line(
                            "sum by (result) (rate(streamgate_rollout_notifications_total[$__rate_interval]))",
                            "notification {{result}}",
                        ),
                    ],
                ),
            ],
        ),
    ],
)
