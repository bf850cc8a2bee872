"""What a rule's values must satisfy: its own policy, and the defaults where it has none. Pure."""

from adapter.collect.snapshot import Limits
from adapter.metrics.promql.meaning import is_rate
from adapter.metrics.promql.read import PromQLError, parse
from adapter.rules.model import OnNegative, Policy


def limits_of(policy: Policy, defaults: Limits, promql: str) -> Limits:
    """The rule's policy over the defaults. Below zero a rate is wrong, a gauge is not."""
    negative = policy.negative or (OnNegative.OMIT if _is_rate(promql) else OnNegative.SERVE)
    return Limits(
        defaults.max_age if policy.max_age is None else policy.max_age,
        defaults.refresh if policy.refresh is None else policy.refresh,
        policy.nan or defaults.odd,
        negative,
    )


def _is_rate(promql: str) -> bool:
    try:
        return is_rate(parse(promql))
    except PromQLError:
        return False
