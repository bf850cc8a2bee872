"""By the ratio of pods: one Service over both arms. No router is needed; shares come in whole pods and per connection.

The stable pods are never fewer than before, so the sibling's share is c / (n + c): a weight of 50 doubles the pods, and
more than that is refused.
"""

from adapter.rollout.decide.context import DONE, Context, Todo

MOST = 50
"""Percent."""


class Replicas:
    """No route: the number of pods is the share."""

    def shift(self, ctx: Context, weight: int) -> Todo:
        """Nothing to do: the pods are the share."""
        return DONE

    def refuses(self, ctx: Context) -> str:
        """Weights above 50 are for routers."""
        above = [step.weight for step in ctx.policy.steps if step.weight > MOST]
        if not above:
            return ""
        return (
            f"spec.{ctx.policy.strategy}.steps: a weight of {above[0]} cannot be had by the ratio of pods, which gives "
            f"at most {MOST} while all stable pods stay; name an HTTPRoute in spec.canary.traffic, or end with a step "
            "of 50"
        )

    def objection(self, ctx: Context) -> str:
        """Nothing: no route is asked."""
        return ""

    def pods(self, full: int, weight: int) -> int:
        """c of c / (full + c) nearest to the weight, halves up; at least 1, at most `full`."""
        if full == 0:
            return 0
        weight = min(weight, MOST)
        exact = full * weight / (100 - weight)
        return min(full, max(1, int(exact + 0.5)))
