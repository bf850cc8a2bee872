"""The queries of the dashboards in few words."""

from typing import Final

from loadtest.monitoring.board import Variable

LATE: Final = "[$__rate_interval]"


def rate(metric: str, by: str, matchers: str = "") -> str:
    """A counter's events per second, summed by labels."""
    return f"sum by ({by}) (rate({metric}{{{within(matchers)}}}{LATE}))"


def quantile(of: float, metric: str, by: str, matchers: str = "") -> str:
    """A quantile of a histogram, by labels."""
    return f"histogram_quantile({of:g}, sum by ({by}, le) (rate({metric}_bucket{{{within(matchers)}}}{LATE})))"


def newest(metric: str, by: str, matchers: str = "") -> str:
    """A gauge, by labels."""
    return f"max by ({by}) ({metric}{{{within(matchers)}}})"


def within(matchers: str = "") -> str:
    """The matchers of the chosen namespaces, and more."""
    return ", ".join(part for part in ('namespace=~"$namespace"', matchers) if part)


def namespaces(metric: str) -> Variable:
    """The namespaces that a metric is of."""
    return Variable("namespace", "Namespace", f"label_values({metric}, namespace)")


def share(part: str, whole: str) -> str:
    """One query over another."""
    return f"{part} / {whole}"


def total(metric: str, by: str = "", matchers: str = "") -> str:
    """A sum over the chosen namespaces, by labels or over all."""
    return f"sum{f' by ({by}) ' if by else ''}({metric}{{{within(matchers)}}})"
