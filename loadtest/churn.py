"""An hour of churn in fast time: pods, label values, HPAs and selectors come and go; the memory must stay flat.

In one process, with the clock moved by hand: `make churn` writes the plot of docs/limits.md.
"""

import asyncio
import gc
from itertools import count
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from adapter.collect.catalogue import Catalogue
from adapter.collect.collector import Collector
from adapter.collect.demand import CustomWant, Demand
from adapter.collect.plan import Planner
from adapter.collect.snapshot import Limits
from adapter.collect.telemetry import CollectTelemetry
from adapter.kube.known import KNOWN
from adapter.metrics.scrape.exposition import Parser
from adapter.metrics.slices import run
from adapter.metrics.store.source import EmbeddedSource
from adapter.metrics.store.store import Store
from adapter.rules.config import load
from adapter.rules.resources import PODS, ResourceMapper
from adapter.units.selector import Selector

PLOT = Path(__file__).parent.parent / "docs" / "img" / "churn.svg"
SECONDS, EVERY = 3600, 5
PODS_AT_ONCE, LIFE, HPAS_AT_ONCE = 40, 120, 40
"""Pods there are, s that each lives, HPAs there are; each second HPA has a selector that nobody had before."""
RULES = """
rules:
- seriesQuery: 'requests_total{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {as: requests_per_second}
  metricsQuery: 'sum(rate(<<.Series>>{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)'
"""


class Churn:
    """A store, a collector and whoever keeps changing around them."""

    def __init__(self) -> None:
        self.now = 1e9
        self.store = Store()
        self.demand = Demand()
        self.collector = Collector(
            EmbeddedSource(self.store),
            Catalogue(load(RULES, "rules.yaml"), ResourceMapper(KNOWN)),
            self.demand,
            Planner(Limits(), lambda _: (), lambda *_: PODS_AT_ONCE),
            CollectTelemetry(CollectorRegistry()),
            clock=lambda: self.now,
        )
        self._parsers: dict[str, Parser] = {}
        self._hpas: list[str] = []
        self._numbers = count()

    async def step(self) -> None:
        """EVERY seconds: some pods and HPAs are replaced, all pods are scraped, what is due is asked."""
        for _ in range(max(1, PODS_AT_ONCE * EVERY // LIFE)):
            self._replace_pod()
            self._replace_hpa()
        for number, parser in enumerate(self._parsers.values()):
            page = "".join(f'requests_total{{path="/{self.now}/{number}/{n}"}} {self.now - 1e9}\n' for n in range(3))
            page += "".join(f'requests_total{{code="{code}"}} {self.now - 1e9}\n' for code in range(17))
            self.store.extend(parser.parse(page.encode(), self.now).points)
        await asyncio.gather(*self.collector.start_due())
        if self.now % 30 == 0:
            run(self.store.expiring(self.now))
        if self.now % 60 == 0:
            await self.collector.offers.look()
        self.now += EVERY

    def _replace_pod(self) -> None:
        if len(self._parsers) >= PODS_AT_ONCE:
            gone = next(iter(self._parsers))
            del self._parsers[gone]
            self.store.forget({"namespace": "shop", "pod": gone})
        name = f"web-{next(self._numbers)}"
        self._parsers[name] = Parser({"namespace": "shop", "pod": name, "instance": name})

    def _replace_hpa(self) -> None:
        if len(self._hpas) >= HPAS_AT_ONCE:
            self.demand.withdraw("shop", self._hpas.pop(0))
        number = next(self._numbers)
        selector = Selector.parse(f"path=p{number}" if number % 4 < 2 else "code=1")
        self._hpas.append(f"hpa-{number}")
        self.demand.declare("shop", f"hpa-{number}", [CustomWant(PODS, "shop", "requests_per_second", selector)])


def rss() -> float:
    """MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


async def measure(seconds: int = SECONDS) -> list[tuple[float, float, int]]:
    """(minutes, MiB, series) once a minute."""
    churn, points = Churn(), []
    await churn.collector.offers.look()
    for second in range(0, seconds + EVERY, EVERY):
        await churn.step()
        if second % 60 == 0:
            gc.collect()
            points.append((second / 60, rss(), len(churn.store)))
    return points


def plot(points: list[tuple[float, float, int]], path: Path) -> None:
    """Memory and series over the hour."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3))
    minutes: Any = [one[0] for one in points]
    axes.plot(minutes, [one[1] for one in points], label="RSS, MiB")
    axes.plot(minutes, [one[2] / 100 for one in points], label="series, hundreds")
    axes.set(xlabel="minutes of churn", ylim=(0, None))
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    points = asyncio.run(measure())
    plot(points, PLOT)
    settled = [memory for minute, memory, _ in points if minute >= 10]
    print(f"RSS after 10 min {settled[0]:.1f} MiB, after 60 min {settled[-1]:.1f} MiB, most {max(settled):.1f} MiB")


if __name__ == "__main__":
    main()
