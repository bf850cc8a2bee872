"""Checkpoints in the Kubernetes API: read at start and for new VPAs, written oldest first, orphans removed."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError, NotFound
from adapter.program.logs import Trouble
from recommender.checkpoint import codec
from recommender.checkpoint.codec import CheckpointError
from recommender.model.cluster import ClusterState, TrackedVpa
from recommender.objects import CHECKPOINTS, Checkpoint

JSON_PATCH: Final = "application/json-patch+json"
log = structlog.get_logger(__name__)


class CheckpointStore:
    """The checkpoints of one cluster."""

    def __init__(
        self, client: Client, cluster: ClusterState, workers: int, daily_peaks: bool, ahead: float = math.inf
    ) -> None:
        """`workers`: how many are written at once; `daily_peaks`: whether the annotation is written and read.

        `ahead`: s that samples in a checkpoint may be ahead of our clock.
        """
        self._client, self._cluster, self._ahead = client, cluster, ahead
        self._turns = asyncio.Semaphore(workers)
        self._daily_peaks = daily_peaks
        self._found: dict[tuple[str, str], list[Checkpoint]] | None = None
        """What was read and not given back yet; None: it must be read anew"""
        self._notes: dict[tuple[str, str], dict[str, str]] = {}
        """(namespace, name of the checkpoint) -> its annotations, so that those of others survive"""
        self._written: dict[tuple[str, str], float] = {}
        """When each VPA's checkpoints were written last."""

    async def load(self, namespace: str, now: float) -> int:
        """Reads all checkpoints for the next `restore`. Returns how many are usable. Raises KubeError."""
        listing = await self._client.list(CHECKPOINTS.path(namespace), Checkpoint)
        config, latest = self._cluster.model.config, now + self._ahead
        # A memory peak is stamped with its window's end, and a reference is rounded to the nearest half-life.
        reference = latest + config.memory_interval + max(config.memory_half_life, config.cpu_half_life)
        self._found = {}
        count = 0
        for checkpoint in listing.items:
            try:
                codec.check(checkpoint.status, latest, reference)
            except CheckpointError as error:
                log.warning(
                    "checkpoint not used",
                    checkpoint=f"{checkpoint.metadata.namespace}/{checkpoint.metadata.name}",
                    cause=str(error),
                )
                continue
            key = checkpoint.metadata.namespace, checkpoint.spec.vpa_object_name
            self._found.setdefault(key, []).append(checkpoint)
            self._notes[checkpoint.metadata.namespace, checkpoint.metadata.name] = dict(checkpoint.metadata.annotations)
            count += 1
        return count

    async def restore(self, vpas: Sequence[TrackedVpa], namespace: str, now: float) -> int:
        """Gives new VPAs their history back; returns how many containers have some. Raises KubeError.

        A VPA that turns up later (made again, or back from another recommender) has checkpoints that are younger than
        what was read at the start: they are read anew, in its namespace if it is the only one, else in `namespace`.
        """
        if vpas and self._found is None:
            places = {tracked.vpa.key[0] for tracked in vpas}
            await self.load(places.pop() if len(places) == 1 else namespace, now)
        read, self._found = self._found or {}, None
        known = {
            self._cluster.state(tracked, checkpoint.spec.container_name, now): checkpoint
            for tracked in vpas
            for checkpoint in read.get(tracked.vpa.key, [])
        }
        self._restore(known)
        return len(known)

    async def store(self, now: float, wall: Callable[[], float], until: float) -> tuple[int, int]:
        """Writes checkpoints of all VPAs, those written longest ago first, until `until` by the clock `wall`.

        Each worker writes one at least. Returns how many were written and how many failed.
        """
        due = sorted(self._cluster.vpas.values(), key=lambda tracked: self._written.get(tracked.vpa.key, 0.0))
        self._written = {key: at for key, at in self._written.items() if key in self._cluster.vpas}
        written = failed = 0
        trouble = Trouble()

        async def one(position: int, tracked: TrackedVpa) -> None:
            nonlocal written, failed
            async with self._turns:
                if position and wall() >= until:
                    return
                good, bad = await self._store(tracked, now, trouble)
                if not bad:
                    self._written[tracked.vpa.key] = wall()
                written, failed = written + good, failed + bad

        await asyncio.gather(*(one(position, tracked) for position, tracked in enumerate(due)))
        trouble.say(log, "checkpoints not written")
        return written, failed

    async def collect(self, namespace: str, vpas: set[tuple[str, str]]) -> int:
        """Removes checkpoints whose VPA (by key) is gone, whoever serves it; returns how many."""
        listing = await self._client.list(CHECKPOINTS.path(namespace), Checkpoint)
        gone = [
            checkpoint
            for checkpoint in listing.items
            if (checkpoint.metadata.namespace, checkpoint.spec.vpa_object_name) not in vpas
            or self._is_dropped(checkpoint)
        ]
        for checkpoint in gone:
            try:
                await self._client.delete(CHECKPOINTS.path(checkpoint.metadata.namespace, checkpoint.metadata.name))
            except NotFound:
                continue
        return len(gone)

    def _is_dropped(self, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint is of a container that its VPA, one of ours, no longer has."""
        tracked = self._cluster.vpas.get((checkpoint.metadata.namespace, checkpoint.spec.vpa_object_name))
        if tracked is None or not tracked.containers:
            return False
        return checkpoint.spec.container_name not in tracked.containers

    def _restore(self, known: Mapping[int, Checkpoint]) -> None:
        """Restores checkpoints, by row of their state, all at once: one by one 100,000 would take a minute."""
        if not known:
            return
        states, rows, checkpoints = self._cluster.model.states, np.array([*known]), [*known.values()]
        codec.restore(states, rows, [one.status for one in checkpoints])
        if not self._daily_peaks:
            return
        texts = [one.metadata.annotations.get(codec.ANNOTATION, "") for one in checkpoints]
        for place, error in codec.restore_extras(states, rows, texts).items():
            log.warning("daily peaks not used", checkpoint=checkpoints[place].metadata.name, cause=str(error))

    async def _store(self, tracked: TrackedVpa, now: float, trouble: Trouble) -> tuple[int, int]:
        names = list(tracked.containers)
        rows = np.array([tracked.containers[name] for name in names], dtype=np.int64)
        model = self._cluster.model
        statuses = codec.encode(model, rows, now)
        extras: Sequence[str] = codec.encode_extra(model.states, rows) if self._daily_peaks else [""] * len(names)
        good = bad = 0
        for name, status, extra in zip(names, statuses, extras, strict=True):
            try:
                await self._write(tracked, name, msgspec.to_builtins(status, str_keys=True), extra)
                good += 1
            except KubeError as error:
                bad += 1
                trouble.add("/".join((*tracked.vpa.key, name)), error)
        return good, bad

    async def _write(self, tracked: TrackedVpa, container: str, status: Any, extra: str) -> None:
        namespace, vpa = tracked.vpa.key
        name = f"{vpa}-{container}"
        notes = self._notes.get((namespace, name), {})
        wanted = {**notes, codec.ANNOTATION: extra} if extra else notes
        patch = [{"op": "add", "path": "/status", "value": status}]
        if wanted != notes:
            patch.append({"op": "add", "path": "/metadata/annotations", "value": wanted})
        try:
            await self._client.patch(CHECKPOINTS.path(namespace, name), patch, dict, content=JSON_PATCH)
        except NotFound:
            metadata: dict[str, Any] = {"name": name, "namespace": namespace}
            body = {
                "apiVersion": CHECKPOINTS.api_version,
                "kind": "VerticalPodAutoscalerCheckpoint",
                "metadata": metadata | ({"annotations": wanted} if wanted else {}),
                "spec": {"vpaObjectName": vpa, "containerName": container},
                "status": status,
            }
            await self._client.create(CHECKPOINTS.path(namespace), body, dict)
        self._notes[namespace, name] = wanted
