"""The embedded source put together: a store filled by scrapes of annotated pods and by OTLP, and kubelets' usage."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, Self

import structlog
from prometheus_client import CollectorRegistry, Gauge

from adapter.clock import steady
from adapter.collect.doors import OtlpDoors
from adapter.collect.kubelets import KubeletAccess, KubeletHealth, Kubelets
from adapter.collect.polled import Polled
from adapter.collect.presence import Presences
from adapter.collect.targets import pod_targets
from adapter.kube.index import Index
from adapter.kube.objects import Node, Pod
from adapter.metrics.owners import SCOPES, Amount
from adapter.metrics.scrape.fetch import ScrapeLimits
from adapter.metrics.scrape.scraper import Scraper
from adapter.metrics.scrape.target import Target, pod_id
from adapter.metrics.slices import run_in_turns
from adapter.metrics.store.source import EmbeddedSource
from adapter.metrics.store.store import Store
from adapter.once import Few, Once

log = structlog.get_logger(__name__)

READY_AFTER = 30.0
"""s after which a target that was not scraped twice no longer keeps the program from being ready."""
FOLLOW_EVERY = 0.5
"""s between looks at changes of pods and nodes: new pods come in bursts."""
EXPIRE_EVERY = 30.0
AT_ONCE = 1000
"""Series forgotten between two turns of the loop: some milliseconds."""
TELL_AGAIN = 600.0
"""s after which the log says once more that the store drops samples."""
UNSCRAPED = 4096
"""Pods of which is remembered that the log said why they are not scraped."""
UNSCRAPED_TOLD = 20
"""Pods of one namespace of which it says so in ten minutes: somebody may make hundreds."""


class EmbeddedOptions(NamedTuple):
    """See `adapter.settings` for the meaning of each."""

    scrape_interval: float = 5.0
    polled_scrape_interval: float = 1.0
    scrape_timeout: float = 4.0
    scrape_concurrency: int = 64
    scrape_max_bytes: int = 10 << 20
    max_series: int = 200_000
    retention: float = 300.0
    kubelets: KubeletAccess = KubeletAccess()


class Embedded:
    """Use as `async with`; `run` follows pods and nodes until it is cancelled."""

    def __init__(
        self,
        options: EmbeddedOptions,
        registry: CollectorRegistry,
        pods: Index[Any],
        nodes: Index[Node],
        clock: Callable[[], float] = steady,
        wall: Callable[[float], float] = float,
        presences: Presences | None = None,
        polled: Polled | None = None,
    ) -> None:
        """`clock` and `wall` as for `Scraper`; without `presences` every pod takes traffic as far as anybody knows.

        Pods that are `polled` are scraped more often.
        """
        interval = options.scrape_interval
        self.store = Store(options.max_series, options.retention, max(60.0, 4 * interval), interval_s=interval)
        self.source = EmbeddedSource(self.store)
        self._options = options
        self._pods = pods
        self._nodes = nodes
        self._clock = clock
        self._wall = wall
        self._presences = presences
        self._polled = polled
        self._started = self._expired = clock()
        self._followed = pods.revision
        """Of the pods whose targets are scraped."""
        self._forgotten: list[Mapping[str, str]] = []
        self._unscraped = Once(most=UNSCRAPED, again=None)
        self._few, self._more = Few(UNSCRAPED_TOLD), Once(again=TELL_AGAIN)
        self._dropped = Once(again=TELL_AGAIN)
        timeout = min(options.scrape_timeout, options.scrape_interval)
        limits = ScrapeLimits(options.scrape_max_bytes, timeout, concurrent=options.scrape_concurrency)
        self._scraper = Scraper(
            self.store.extend, self._forget_target, limits, clock, wall, passing=self.store.pass_by, often=self._often
        )
        self.usage = Kubelets(options.kubelets, nodes, pods, self._scraper.health, clock, wall)
        pods.on_change(self._pod_changed)
        if polled is not None:
            polled.on_poll(lambda namespace, pod: self._scraper.look_again(pod_id(namespace, pod)))
        self._registry = registry
        self._tell()

    async def __aenter__(self) -> Self:
        await self._scraper.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._scraper.__aexit__(*error)

    @asynccontextmanager
    async def receiving(self, doors: OtlpDoors) -> AsyncIterator[None]:
        """Take OTLP in while the context lasts. Raises OSError where an address cannot be bound."""
        from adapter.collect import pushes

        intake = pushes.intake(self.store.extend, doors.limits, clock=self._clock, wall=self._wall)
        self._gauge("otlp_requests", "OTLP requests taken in.", lambda: intake.requests)
        self._gauge("otlp_points", "Points of OTLP requests taken in.", lambda: intake.points)
        self._gauge("otlp_rejected_points", "Points of OTLP requests that were rejected.", lambda: intake.rejected)
        async with pushes.serve(intake, doors):
            secured = bool(doors.grpc_tls or doors.http_tls)
            log.info("receiving OTLP", address=doors.address, grpc=doors.grpc_port, http=doors.http_port, tls=secured)
            yield

    async def run(self) -> None:
        """Keep the targets in step with pods and nodes, and forget what is too old, until cancelled."""
        seen = (-1, -1)
        while True:
            now = (self._pods.revision, self._nodes.revision)
            if now != seen:
                seen = now
                self._follow()
            await self._tidy()
            await asyncio.sleep(FOLLOW_EVERY)

    def _tell_dropped(self) -> None:
        problem = self.store.statistics.problem
        if problem and self._dropped.first(problem):
            log.warning("samples dropped", problem=problem)

    def waiting(self) -> str:
        """'' once every target that answers was scraped twice, or after READY_AFTER; else what is waited for."""
        if self._clock() - self._started >= READY_AFTER:
            return ""
        if self._followed != self._pods.revision and not self._scraper.health:
            return "the pods are not followed yet"
        waiting = [key for key, health in self._scraper.health.items() if not health.error and health.scrapes < 2]
        return f"{len(waiting)} targets were not scraped twice yet, {waiting[0]} among them" if waiting else ""

    def _follow(self) -> None:
        self._followed = self._pods.revision
        targets, problems = pod_targets(self._pods, self._options.scrape_interval, self._takes_traffic)
        kubelets = list(self.usage.targets())
        self._tell_unscraped([*problems, *(("", problem) for problem in self.usage.problems())])
        self._scraper.set_targets([*targets, *kubelets])

    def _tell_unscraped(self, problems: Iterable[tuple[str, str]]) -> None:
        """The namespace, '' for nodes, and why something of it is not scraped."""
        for namespace, problem in self._unscraped.news(problems):
            if self._few.may(namespace):
                log.warning("not scraped", problem=problem)
            elif self._more.first(namespace):
                of = f"pods of namespace {namespace}" if namespace else "nodes"
                log.warning("not scraped", problem=f"more {of} are not scraped; {UNSCRAPED_TOLD} were told")

    def _often(self, target: Target) -> float:
        """s from scrape to scrape of a target that is polled; inf for others."""
        of = target.labels
        if self._polled is None or "pod" not in of or not self._polled.holds(of["namespace"], of["pod"]):
            return math.inf
        return self._options.polled_scrape_interval

    def _takes_traffic(self, pod: Pod) -> bool:
        if self._presences is None:
            return True
        presence = self._presences.of(pod.metadata.namespace, pod.metadata.name)
        return presence is not None and presence.takes_traffic

    def _forget_target(self, target: Target) -> None:
        """End the series of a target that is gone: their values must not linger until they are too old."""
        self._forget(target.labels)  # all of them: its address may be another pod's by now

    def _pod_changed(self, old: Any, new: Any) -> None:
        if new is None and old is not None:
            self._forget({"namespace": old.metadata.namespace, "pod": old.metadata.name})

    def _forget(self, labels: Mapping[str, str]) -> None:
        """Drop series with these labels now, AT_ONCE at most: the rest waits, so as not to hold the loop."""
        if self.store.forget(labels, AT_ONCE) == AT_ONCE:
            self._forgotten.append(labels)

    async def _tidy(self) -> None:
        """Forget the rest of what is gone, and what is too old."""
        for labels in self._forgotten:
            await _all(partial(self.store.forget, labels))
        self._forgotten.clear()
        now = self._clock()
        if now - self._expired >= EXPIRE_EVERY:
            self._expired = now
            await run_in_turns(self.store.expiring(now))
            self.usage.expire(now - self.store.retention_s)
        self._tell_dropped()

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(f"streamgate_{name}", text, registry=self._registry).set_function(value)

    def _tell(self) -> None:
        self._registry.register(KubeletHealth(self.usage))
        store, health = self.store, self._scraper.health
        self._gauge("store_series", "Series held.", lambda: len(store))
        self._gauge("store_bytes", "Bytes of samples held.", lambda: store.nbytes)
        self._gauge("store_label_characters", "Characters of the labels held.", lambda: store.owners.total.characters)
        self._gauge("store_metric_names", "Metric names held.", lambda: store.owners.total.names)
        refused = Gauge(
            "streamgate_store_refused",
            "Samples refused for a limit, by whose (all, namespace, owner) and of what; scraped ones once in 30 s.",
            ("scope", "of"),
            registry=self._registry,
        )
        for scope in SCOPES:
            for of in Amount._fields:
                refused.labels(scope, of).set_function(partial(store.owners.refusals, scope, of))
        self._gauge(
            "store_refused_samples",
            "Samples refused for the limit on series; scraped ones once in 30 s.",
            lambda: store.statistics.refused,
        )
        self._gauge(
            "store_dense_samples", "Samples too soon after the one before, left out.", lambda: store.statistics.dense
        )
        self._gauge("store_late_samples", "Samples that came out of order, left out.", lambda: store.statistics.late)
        self._gauge("store_passing_samples", "Samples between two turns.", lambda: store.statistics.passing)
        self._gauge("scrape_targets", "Targets scraped.", lambda: len(health))
        polled = self._polled
        self._gauge("scrape_polled_pods", "Pods scraped between their turns.", lambda: polled.number if polled else 0)
        self._gauge(
            "scrape_targets_failing",
            "Targets whose last scrape failed.",
            lambda: sum(bool(one.error) for one in health.values()),
        )


async def _all(forget: Callable[[int], int]) -> None:
    """Forget in turns until nothing is left."""
    more = True
    while more:
        more = forget(AT_ONCE) == AT_ONCE
        await asyncio.sleep(0)
