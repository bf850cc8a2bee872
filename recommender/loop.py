"""The recommender's loop: read, take in, decide, write what changed; once a minute while it leads."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import Forbidden, KubeError, NotFound
from adapter.kube.objects import unix
from adapter.once import Once
from adapter.program.logs import Trouble
from recommender.checkpoint.store import JSON_PATCH, CheckpointStore
from recommender.estimate.numbers import is_known, numbers_of
from recommender.estimate.postprocess import Numbers
from recommender.estimate.risks import Risks
from recommender.input import external_metrics
from recommender.input.feed import feed_kills, feed_metrics
from recommender.input.targets import Targets
from recommender.model.cluster import ClusterState, TrackedVpa
from recommender.objects import POD_METRICS, VPAS, Pod, PodMetrics, Vpa, VpaStatus
from recommender.plan import Informers, Plan
from recommender.status import fetching, has_changed, has_recommendation, patch, status, with_risks
from recommender.telemetry import Telemetry
from recommender.updater.apply import Applier

log = structlog.get_logger(__name__)
SYNC_SECONDS: Final = 20.0
HPA_SECONDS: Final = 0.5
BATCH: Final = 500
"""VPAs between two turns of the event loop: about 20 ms, so that a lease is renewed and health answered meanwhile."""


class Recommender:
    """One recommender, for one term of leadership."""

    def __init__(
        self,
        client: Client,
        *,
        informers: Informers,
        cluster: ClusterState,
        checkpoints: CheckpointStore,
        plan: Plan,
        telemetry: Telemetry,
        wall: Callable[[], float],
        applier: Applier | None = None,
    ) -> None:
        """`wall` gives Unix seconds; without an `applier` nothing but statuses and checkpoints is written."""
        self.cluster, self.checkpoints, self.telemetry = cluster, checkpoints, telemetry
        self._client, self._informers, self._plan, self._applier = client, informers, plan, applier
        self._targets = Targets(client)
        self._turns = asyncio.Semaphore(plan.workers)
        self._wall = wall
        self._collected = wall()
        self._followed: dict[tuple[str, str], Sequence[Pod]] = {}
        self._history: Callable[[ClusterState, float], Awaitable[int]] | None = None
        self._waits = Once()
        self._risks = Risks(plan.mode.policy) if plan.own_conditions and plan.mode.policy else None

    def at_start(self, history: Callable[[ClusterState, float], Awaitable[int]]) -> None:
        """`history` is called once, when the first pods are known, to fill the cluster state from elsewhere."""
        self._history = history

    async def run(self) -> None:
        """Loads checkpoints, then loops until cancelled; every loop writes checkpoints, so the end needs no more."""
        self.telemetry.lead(True, self._wall())
        try:
            await self.start()
            while True:
                began = self._wall()
                await self.once(began)
                await asyncio.sleep(max(0.0, began + self._plan.timing.interval - self._wall()))
        finally:
            self.telemetry.lead(False, self._wall())

    async def start(self) -> None:
        """Waits for the informers and reads the checkpoints; without these it would begin with a dip."""
        while not (
            await self._informers.vpas.wait_synced(SYNC_SECONDS)
            and await self._informers.pods.wait_synced(SYNC_SECONDS)
        ):
            vpas, pods = self._informers.vpas.error, self._informers.pods.error
            missing = isinstance(vpas, NotFound)
            cause = "VPA's CRDs are not installed (manifests/crds)" if missing else str(vpas or "")
            self._wait("waiting for VPAs and pods", vpas=cause, pods=str(pods or ""))
        await self._wait_for_hpas()
        while self._plan.checkpoints:
            try:
                count = await self.checkpoints.load(self._plan.scope.namespace, self._wall())
                log.info("checkpoints read", count=count)
                return
            except NotFound:
                log.warning("no checkpoints", cause="the checkpoint CRD is not installed")
                return
            except KubeError as error:
                self._wait("checkpoints not read yet", cause=str(error))
                await asyncio.sleep(5)

    async def _wait_for_hpas(self) -> None:
        """A first number that does not know of an HPA could set it off; without leave to see them we go on at once."""
        hpas = self._informers.hpas
        while hpas is not None and not isinstance(hpas.error, Forbidden) and not await hpas.wait_synced(HPA_SECONDS):
            if hpas.error is not None:
                self._wait("waiting for HPAs", cause=str(hpas.error))

    def _wait(self, what: str, **causes: str) -> None:
        """Logs what we wait for, once while its causes are the same, and again after ten minutes."""
        if self._waits.first(what, str(causes)):
            log.warning(what, **causes)

    async def once(self, now: float) -> None:
        """One loop; a step that fails is logged and the next one works with what is known."""
        telemetry = self.telemetry
        with telemetry.loop():
            with telemetry.step("LoadVPAs"):
                served = await self._serve(now)
            with telemetry.step("LoadPods"):
                await self._follow(served, now)
            if self._history is not None:
                with telemetry.step("LoadHistory"):
                    await self._load(self._history, now)
            with telemetry.step("LoadMetrics"):
                await self._take_in(now)
            with telemetry.step("UpdateVPAs"):
                await self._publish(now)
            if self._applier is not None:
                with telemetry.step("Apply"):
                    acted = await self._applier.act(self._ready(now), now)
                    telemetry.writes.labels("pod", "good").inc(acted)
            if self._plan.checkpoints:
                with telemetry.step("MaintainCheckpoints"):
                    await self._maintain(now)
        telemetry.states.set(len(self.cluster.model.states))
        telemetry.instances.set(self.cluster.instances)
        telemetry.state_bytes.set(self.cluster.model.nbytes)
        telemetry.end(self._wall())

    async def _serve(self, now: float) -> list[Vpa]:
        """The VPAs of this loop. One whose history cannot be read now waits: without it we would overwrite it."""
        served = [vpa for vpa in self._informers.vpas.index if self._plan.scope.serves(vpa)]
        fresh = self.cluster.serve(served)
        if not self._plan.checkpoints:
            return served
        try:
            await self.checkpoints.restore(fresh, self._plan.scope.namespace, now)
        except NotFound:
            pass  # the checkpoint CRD is not installed
        except KubeError as error:
            log.warning("new VPAs wait for their checkpoints", count=len(fresh), cause=str(error))
            waiting = {tracked.vpa.key for tracked in fresh}
            served = [vpa for vpa in served if vpa.key not in waiting]
            self.cluster.serve(served)
        return served

    async def _load(self, history: Callable[[ClusterState, float], Awaitable[int]], now: float) -> None:
        """Fills the cluster state once; FetchingHistory holds meanwhile, but not after, however it ends."""
        self._history, self.telemetry.is_loading = None, True
        if self._plan.own_conditions:
            await self._announce(True, now)
        try:
            await history(self.cluster, now)
        finally:
            if self._plan.own_conditions:
                await self._announce(False, now)

    async def _announce(self, is_fetching: bool, now: float) -> None:
        vpas = self.cluster.vpas.values()
        await self._write([(tracked, fetching(tracked.vpa.status, is_fetching, now)) for tracked in vpas], now)

    async def _follow(self, served: list[Vpa], now: float) -> None:
        self._targets.forget(served)
        pods: dict[tuple[str, str], Sequence[Pod]] = {}

        async def one(vpa: Vpa) -> None:
            async with self._turns:
                target = await self._targets.find(vpa, now)
            tracked = self.cluster.vpas[vpa.key]
            tracked.selector, tracked.problem, tracked.replicas = target.selector, target.problem, target.replicas
            matching = (
                self._informers.pods.index.select(vpa.metadata.namespace, target.selector) if target.selector else ()
            )
            pods[vpa.key] = list(matching)

        await asyncio.gather(*(one(vpa) for vpa in served))
        self.cluster.follow(pods, now)
        self._followed = {key: [pod for pod in own if pod.active] for key, own in pods.items()}

    async def _take_in(self, now: float) -> None:
        """Metrics first, then kills, then the end of what is gone, as VPA does."""
        try:
            usage = await self._usage()
        except NotFound:
            log.warning("no metrics", cause="metrics.k8s.io is not served: metrics-server is missing")
        except KubeError as error:
            log.warning("no metrics", cause=str(error))
        else:
            taken = feed_metrics(self.cluster, usage, now + self._plan.timing.ahead)
            for result, count in taken._asdict().items():
                self.telemetry.samples.labels(result).inc(count)
            self.telemetry.fetched.set(now)
        self.telemetry.kills.inc(feed_kills(self.cluster, self._informers.observer.drain()))
        self.cluster.part()

    async def _usage(self) -> Sequence[PodMetrics]:
        if self._plan.external is not None:
            return await external_metrics.read(self._client, self.cluster.vpas.values(), self._plan.external)
        return (await self._client.list(POD_METRICS.path(self._plan.scope.namespace), PodMetrics)).items

    async def _publish(self, now: float) -> None:
        """Decides for all containers at once, then patches the statuses that changed."""
        vpas = list(self.cluster.vpas.values())
        numbers = self._numbers(vpas, now)
        statuses = []
        for place, own in enumerate(vpas):
            if place % BATCH == 0:
                await asyncio.sleep(0)
            new = status(
                own.vpa,
                numbers[own.vpa.key],
                self._plan.post,
                now,
                pods=own.pods,
                problem=own.problem,
                own_conditions=self._plan.own_conditions,
            )
            statuses.append((own, new))
        statuses = with_risks(statuses, self.cluster, self._risks, now)
        self.telemetry.count_vpas((tracked.vpa, new) for tracked, new in statuses)
        await self._write([(tracked, new) for tracked, new in statuses if has_changed(tracked.vpa.status, new)], now)

    async def _write(self, due: Iterable[tuple[TrackedVpa, VpaStatus]], now: float) -> None:
        trouble = Trouble()

        async def one(tracked: TrackedVpa, new: VpaStatus) -> None:
            namespace, name = tracked.vpa.key
            body = patch(new)
            async with self._turns:
                try:
                    await self._client.patch(VPAS.path(namespace, name, "status"), body, dict, content=JSON_PATCH)
                    self.telemetry.writes.labels("status", "good").inc()
                    if has_recommendation(new) and not has_recommendation(tracked.vpa.status):
                        self.telemetry.note_first_recommendation(
                            now - (unix(tracked.vpa.metadata.creation_timestamp) or now)
                        )
                except NotFound:
                    pass  # it has just been deleted
                except KubeError as error:
                    self.telemetry.writes.labels("status", "failed").inc()
                    trouble.add(f"{namespace}/{name}", error)

        await asyncio.gather(*(one(tracked, new) for tracked, new in due))
        trouble.say(log, "statuses not written")

    def _numbers(self, vpas: Sequence[TrackedVpa], now: float) -> dict[tuple[str, str], dict[str, Numbers]]:
        hpas = self._informers.hpas
        return numbers_of(
            self.cluster,
            vpas,
            now,
            mode=self._plan.mode,
            tells_spread=self._plan.tells_spread,
            hpas=None if hpas is None else hpas.index.namespace,
        )

    def _ready(self, now: float) -> list[tuple[TrackedVpa, Sequence[Pod]]]:
        """VPAs that have been sampled for long enough to be acted on, with their pods."""
        least, mode = self._plan.least_history, self._plan.mode
        return [
            (tracked, self._followed.get(key, ()))
            for key, tracked in self.cluster.vpas.items()
            if is_known(self.cluster, tracked, now, mode=mode, least=least)
        ]

    async def _maintain(self, now: float) -> None:
        written, failed = await self.checkpoints.store(now, self._wall, now + self._plan.timing.checkpoint_budget)
        self.telemetry.writes.labels("checkpoint", "good").inc(written)
        self.telemetry.writes.labels("checkpoint", "failed").inc(failed)
        if now - self._collected < self._plan.timing.collect_every:
            return
        self._collected = now
        try:
            await self.checkpoints.collect(self._plan.scope.namespace, {vpa.key for vpa in self._informers.vpas.index})
        except KubeError as error:
            log.warning("orphaned checkpoints not removed", cause=str(error))
