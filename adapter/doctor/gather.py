"""Reads a cluster once: lists in pages, a few calls at a time, each within its time and all within theirs.

What is forbidden, absent or silent is noted and left out; the rest is looked at all the same.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

from adapter.doctor import objects
from adapter.doctor.checks.apis import groups_of
from adapter.doctor.finding import Unseen, plain
from adapter.doctor.objects import Deployment
from adapter.doctor.questions import questions
from adapter.doctor.reviews import Reviewed, needed, review_of
from adapter.doctor.rights import Right
from adapter.doctor.snapshot import CUSTOM, EXTERNAL, METRICS, Program, Question, Snapshot, starves
from adapter.kube.autoscaling import HorizontalPodAutoscaler, Scale
from adapter.kube.client import Client
from adapter.kube.errors import KubeError, NotFound, Unauthorized
from adapter.kube.objects import ConfigMap, Node
from adapter.kube.resources import (
    CONFIG_MAPS,
    HORIZONTAL_POD_AUTOSCALERS,
    LEASES,
    NODES,
    SUBJECT_ACCESS_REVIEWS,
    Resource,
)

T = TypeVar("T")
AT_ONCE: Final = 6
"""Calls under way: a person's look must not weigh on an API server."""
ASKED: Final = 20
"""Starving HPAs whose metrics are asked for; of the others their own condition tells why."""
EMPTY: Final = "the answer is an empty list: no pod of it has the metric"
LABEL: Final = "app.kubernetes.io/name"
PROGRAMS: Final = {
    "streamgate-adapter": "adapter",
    "streamgate-recommender": "recommender",
    "streamgate-rollout": "rollout",
}
AUTHORITIES: Final = ("client-ca-file", "requestheader-client-ca-file")
KINDS: Final = {
    "Deployment": objects.DEPLOYMENTS,
    "StatefulSet": Resource("apps", "v1", "statefulsets"),
    "ReplicaSet": Resource("apps", "v1", "replicasets"),
}
"""Whose /scale is asked for the pods of an HPA."""


class Gatherer:
    """One look. `namespace` '' is all of them; it bounds HPAs, VPAs and policies, not programs, APIs and nodes."""

    def __init__(self, client: Client, namespace: str = "", *, timeout: float = 60.0) -> None:
        """`timeout`: s for all of it; what is not seen by then is not looked at."""
        self._client = client
        self._timeout = timeout
        self._deadline = math.inf
        self._namespace = namespace
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.unseen: list[Unseen] = []

    async def look(self) -> Snapshot:
        """What there is. Raises KubeError where the API server does not answer, or does not know the caller."""
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + self._timeout
        date, began = await self._client.date(), loop.time()
        seen = await self._lists(Snapshot(now=date))
        # Leases that were renewed while pages were read are not ahead of this.
        seen = replace(seen, now=date + loop.time() - began)
        return replace(await self._details(seen), unseen=tuple(self.unseen))

    async def _lists(self, seen: Snapshot) -> Snapshot:
        wanted: Mapping[str, Awaitable[Any]] = {
            "api_services": self._list("APIServices", objects.API_SERVICES.path(), objects.APIService),
            "programs": self._programs(),
            "hpas": self._list("HPAs", self._in(HORIZONTAL_POD_AUTOSCALERS), HorizontalPodAutoscaler),
            "vpas": self._list("VPAs", self._in(objects.VPAS), objects.Vpa),
            "policies": self._list("RolloutPolicies", self._in(objects.POLICIES), objects.Policy),
            "nodes": self._list("nodes", NODES.path(), Node),
            "node_leases": self._list("nodes' Leases", LEASES.path("kube-node-lease"), objects.Lease),
            "authorities": self._authorities(),
        }
        found = dict(zip(wanted, await asyncio.gather(*wanted.values()), strict=True))
        return replace(seen, **found)

    async def _details(self, seen: Snapshot) -> Snapshot:
        seen = replace(seen, programs=await self._with_servers(seen))
        leases, certificates, lacking, offers, readiness, asked = await asyncio.gather(
            self._leases(seen.programs),
            self._certificates(seen.programs),
            self._lacking(seen),
            self._offers(seen),
            self._readiness(seen),
            self._questions(seen),
        )
        return replace(
            seen,
            leases=leases,
            certificates=certificates,
            lacking=lacking,
            offers=offers,
            readiness=readiness,
            questions=asked,
        )

    def _in(self, resource: Resource) -> str:
        return resource.path(self._namespace)

    async def _tried(self, what: str, call: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """What `call` gives; where it fails, `otherwise`, and a note. What is absent is no failure."""
        try:
            async with self._turn():
                return await call()
        except NotFound:
            return otherwise
        except Unauthorized:
            raise
        except KubeError as error:
            self.unseen.append(Unseen(what, plain(str(error))))
        except TimeoutError:
            self.unseen.append(Unseen(what, f"not done within --timeout={self._timeout:g}s"))
        return otherwise

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """For one call. Raises TimeoutError where no time is left for it."""
        async with asyncio.timeout_at(self._deadline), self._slots:
            yield

    async def _get(self, what: str, path: str, kind: type[T]) -> T | None:
        """The object, or None where it is absent or cannot be read."""

        async def call() -> T | None:
            return await self._client.get(path, kind)

        return await self._tried(what, call, None)

    async def _list(self, what: str, path: str, kind: type[T], params: Mapping[str, str] | None = None) -> Sequence[T]:
        async def call() -> Sequence[T]:
            return (await self._client.list(path, kind, params=params or {})).items

        return await self._tried(what, call, ())

    async def _programs(self) -> Sequence[Program]:
        wanted = {"labelSelector": f"{LABEL} in ({','.join(PROGRAMS)})"}
        found = await self._list("Deployments", objects.DEPLOYMENTS.path(), Deployment, wanted)
        return [Program(PROGRAMS[one.metadata.labels[LABEL]], one) for one in found]

    async def _with_servers(self, seen: Snapshot) -> Sequence[Program]:
        """The programs, and adapters that run under the name of another: in prometheus-adapter's place."""
        known = {(one.namespace, one.name) for one in seen.programs}
        served = [one.spec.service for one in seen.api_services if one.spec.group in METRICS]
        services = {(service.namespace, service.name) for service in served if service}
        more: dict[tuple[str, str], Program] = {}
        for namespace, name in sorted(services):
            for one in await self._behind(namespace, name):
                key = (one.metadata.namespace, one.metadata.name)
                images = [container.image for container in one.spec.template.spec.containers]
                if key not in known and any("streamgate" in image for image in images):
                    more[key] = Program("adapter", one)
        return [*seen.programs, *more.values()]

    async def _behind(self, namespace: str, name: str) -> Sequence[Deployment]:
        path = objects.SERVICES.path(namespace, name)
        service = await self._get(f"Service {namespace}/{name}", path, objects.Service)
        if service is None or not service.spec.selector:
            return ()
        found = await self._list(f"Deployments in {namespace}", objects.DEPLOYMENTS.path(namespace), Deployment)
        return [one for one in found if service.spec.selector.items() <= one.spec.template.metadata.labels.items()]

    async def _authorities(self) -> Mapping[str, str]:
        path = CONFIG_MAPS.path("kube-system", "extension-apiserver-authentication")
        held = await self._get("the cluster's authorities", path, ConfigMap) or ConfigMap()
        return {key: held.data[key] for key in AUTHORITIES if held.data.get(key)}

    async def _leases(self, programs: Iterable[Program]) -> Mapping[str, objects.Lease | None]:
        found: dict[str, objects.Lease | None] = {}
        for one in programs:
            if one.kind == "adapter" or one.deployment.spec.replicas == 0:
                continue
            what = f"Lease {one.namespace}/{one.name}"
            lease = await self._get(what, LEASES.path(one.namespace, f"streamgate-{one.kind}"), objects.Lease)
            if not any(unseen.what == what for unseen in self.unseen):
                found[f"{one.namespace}/{one.name}"] = lease
        return found

    async def _certificates(self, programs: Iterable[Program]) -> Mapping[str, str]:
        found = {}
        for one in programs:
            for volume in one.deployment.spec.template.spec.volumes if one.kind == "adapter" else ():
                if volume.secret is None or not volume.secret.secret_name:
                    continue
                name = f"{one.namespace}/{volume.secret.secret_name}"
                path = objects.SECRETS.path(one.namespace, volume.secret.secret_name)
                held = await self._get(f"Secret {name}", path, objects.TlsSecret)
                if held is not None and held.data.certificate:
                    found[name] = held.data.certificate
        return found

    async def _offers(self, seen: Snapshot) -> Mapping[str, frozenset[str]]:
        """Of the APIs that somebody serves and some HPA wants: others may be empty on purpose."""
        found = {}
        for group in sorted({group for hpa in seen.hpas for group in groups_of(hpa)} & {CUSTOM, EXTERNAL}):
            if versions := sorted(one.spec.version for one in seen.api_services if one.spec.group == group):
                listed = await self._get(f"metrics of {group}", f"/apis/{group}/{versions[-1]}", objects.ApiResources)
                if listed is not None:
                    found[group] = frozenset(one.name for one in listed.resources)
        return found

    async def _readiness(self, seen: Snapshot) -> Mapping[str, str]:
        """What adapters that are ready say of themselves, through their Services."""
        found = {}
        for one in seen.programs:
            services = [served.spec.service for served in seen.served_in(one.namespace)]
            if one.kind != "adapter" or not services or not one.deployment.status.available_replicas:
                continue
            to = f"https:{services[0].name}:{services[0].port}" if services[0] else ""
            path = objects.SERVICES.path(one.namespace, to, "proxy") + "/readyz"

            async def call(path: str = path) -> bytes:
                return await self._client.get(path, params={"verbose": ""}, accept="text/plain, */*")

            name = f"{one.namespace}/{one.name}"
            found[name] = (await self._tried(f"/readyz of {name}", call, b"")).decode(errors="replace")
        return found

    async def _lacking(self, seen: Snapshot) -> Sequence[tuple[Program, Right]]:
        """Rights that programs need and have not; of all, also where one review is refused."""
        wanted = [(one, right) for one in seen.programs for right in needed(seen, one)]
        allowed = await asyncio.gather(*(self._may(one, right) for one, right in wanted))
        if refused := sum(answer is None for answer in allowed):
            self.unseen.append(Unseen("rights of programs", f"{refused} of {len(wanted)} access reviews failed"))
        return [pair for pair, answer in zip(wanted, allowed, strict=True) if answer is False]

    async def _may(self, program: Program, right: Right) -> bool | None:
        """Whether it may; None where that cannot be asked."""
        try:
            async with self._turn():
                review = await self._client.create(SUBJECT_ACCESS_REVIEWS.path(), review_of(program, right), Reviewed)
        except (KubeError, TimeoutError):
            return None
        return review.status.allowed

    async def _questions(self, seen: Snapshot) -> Mapping[str, Sequence[Question]]:
        starving = [hpa for hpa in seen.hpas if starves(hpa)][:ASKED]
        asked = await asyncio.gather(*(self._asked(seen, hpa) for hpa in starving))
        keys = (f"{hpa.metadata.namespace}/{hpa.metadata.name}" for hpa in starving)
        return dict(zip(keys, asked, strict=True))

    async def _asked(self, seen: Snapshot, hpa: HorizontalPodAutoscaler) -> Sequence[Question]:
        selector = await self._selector(hpa)
        if selector is None:
            return ()
        served = {one.spec.group: one.spec.version for one in seen.api_services}  # ends with the newer
        found = []
        for path in questions(hpa, selector, served):
            try:
                async with self._turn():
                    answer = await self._client.get(path, objects.Items)
                found.append(Question(path, "" if answer.items else EMPTY))
            except KubeError as error:
                found.append(Question(path, plain(str(error))))
            except TimeoutError:
                break
        return found

    async def _selector(self, hpa: HorizontalPodAutoscaler) -> str | None:
        """The pods' selector of its target; None where the target is of a kind that is not looked up, or gone."""
        target = hpa.spec.scale_target_ref
        if target.kind not in KINDS:
            return None
        path = KINDS[target.kind].path(hpa.metadata.namespace, target.name, "scale")
        try:
            async with self._turn():
                return (await self._client.get(path, Scale)).status.selector
        except (KubeError, TimeoutError):
            return None
