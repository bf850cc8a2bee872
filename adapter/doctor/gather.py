"""Reads a cluster once: what there is, and then what follows from it.

What is forbidden, absent or silent is noted and left out; the rest is looked at all the same.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from adapter.doctor import objects
from adapter.doctor.calls import Calls
from adapter.doctor.finding import Unseen, plain
from adapter.doctor.objects import Deployment, Hpa
from adapter.doctor.pods import find_volume, flag, is_set
from adapter.doctor.questions import questions
from adapter.doctor.reviews import Reviewed, review_of, rights_needed
from adapter.doctor.rights import Right
from adapter.doctor.snapshot import CUSTOM, EXTERNAL, METRICS, Program, Question, RulesFile, Snapshot, lacks, starves
from adapter.kube.autoscaling import Scale
from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.objects import ConfigMap, Node
from adapter.kube.resources import (
    CONFIG_MAPS,
    HORIZONTAL_POD_AUTOSCALERS,
    LEASES,
    NODES,
    SUBJECT_ACCESS_REVIEWS,
    Resource,
)

ASKED: Final = 20
"""HPAs whose metrics are asked for, those first that have none; of the others their own condition tells why."""
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
        self._calls = Calls(client, timeout=timeout)
        self._namespace = namespace

    async def look(self) -> Snapshot:
        """What there is. Raises KubeError where the API server does not answer, or does not know the caller."""
        loop = asyncio.get_running_loop()
        self._calls.begin()
        date, began = await self._calls.client.date(), loop.time()
        seen = await self._lists(Snapshot(now=date))
        # Leases that were renewed while pages were read are not ahead of this.
        seen = replace(seen, now=date + loop.time() - began)
        seen = await self._details(seen)
        return replace(seen, unseen=tuple(sorted(self._calls.unseen, key=lambda each: each.what)))

    async def _lists(self, seen: Snapshot) -> Snapshot:
        return replace(
            seen,
            **await _together(
                api_services=self._calls.list("APIServices", objects.API_SERVICES.path(), objects.APIService),
                programs=self._programs(),
                hpas=self._calls.list("HPAs", self._in(HORIZONTAL_POD_AUTOSCALERS), Hpa),
                vpas=self._calls.list("VPAs", self._in(objects.VPAS), objects.Vpa),
                policies=self._calls.list("RolloutPolicies", self._in(objects.POLICIES), objects.Policy),
                nodes=self._calls.list("nodes", NODES.path(), Node),
                node_leases=self._calls.list("nodes' Leases", LEASES.path("kube-node-lease"), objects.Lease),
                authorities=self._authorities(),
            ),
        )

    async def _details(self, seen: Snapshot) -> Snapshot:
        """What only follows from the lists."""
        seen = replace(seen, programs=await self._with_servers(seen))
        return replace(
            seen,
            **await _together(
                leases=self._leases(seen.programs),
                certificates=self._certificates(seen.programs),
                rules=self._rules(seen.programs),
                lacking=self._lacking(seen),
                offers=self._offers(seen),
                readiness=self._readiness(seen),
                questions=self._questions(seen),
            ),
        )

    def _in(self, resource: Resource) -> str:
        return resource.path(self._namespace)

    async def _programs(self) -> Sequence[Program]:
        wanted = {"labelSelector": f"{LABEL} in ({','.join(PROGRAMS)})"}
        deployments = await self._calls.list("Deployments", objects.DEPLOYMENTS.path(), Deployment, wanted)
        named = [(one.metadata.labels.get(LABEL, ""), one) for one in deployments]
        return [Program(PROGRAMS[name], one) for name, one in named if name in PROGRAMS]

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
        path = partial(objects.SERVICES.path, namespace, name)
        service = await self._calls.get(f"Service {namespace}/{name}", path, objects.Service)
        if service is None or not service.spec.selector:
            return ()
        deployments = await self._calls.list(
            f"Deployments in {namespace}", objects.DEPLOYMENTS.path(namespace), Deployment
        )
        return [
            one for one in deployments if service.spec.selector.items() <= one.spec.template.metadata.labels.items()
        ]

    async def _authorities(self) -> Mapping[str, str]:
        path = partial(CONFIG_MAPS.path, "kube-system", "extension-apiserver-authentication")
        held = await self._calls.get("the cluster's authorities", path, ConfigMap) or ConfigMap()
        return {key: held.data[key] for key in AUTHORITIES if held.data.get(key)}

    async def _leases(self, programs: Iterable[Program]) -> Mapping[str, objects.Lease | None]:
        """The Leases of programs that elect a leader, by namespace/name; None for one that is absent."""
        leases: dict[str, objects.Lease | None] = {}
        for one in programs:
            if one.kind == "adapter" or one.deployment.spec.replicas == 0 or not is_set(one.deployment, "leader-elect"):
                continue
            namespace = flag(one.deployment, "leader-elect-resource-namespace") or one.namespace
            name = flag(one.deployment, "leader-elect-resource-name") or one.name
            what = f"Lease {namespace}/{name}"
            lease = await self._calls.get(what, partial(LEASES.path, namespace, name), objects.Lease)
            if not any(unseen.what == what for unseen in self._calls.unseen):
                leases[f"{namespace}/{name}"] = lease
        return leases

    async def _certificates(self, programs: Iterable[Program]) -> Mapping[str, str]:
        """Serving certificates of adapters that are given one in a Secret, by namespace/name of the Secret."""
        certificates = {}
        for one in programs:
            file = flag(one.deployment, "tls-cert-file") if one.kind == "adapter" else None
            held = find_volume(one.deployment, file) if file else None
            if held is None or held[0].secret is None or not held[0].secret.secret_name:
                continue
            name = f"{one.namespace}/{held[0].secret.secret_name}"
            path = partial(objects.SECRETS.path, one.namespace, held[0].secret.secret_name)
            secret = await self._calls.get(f"Secret {name}", path, objects.TlsSecret)
            if secret is not None and secret.data.certificate:
                certificates[name] = secret.data.certificate
        return certificates

    async def _rules(self, programs: Iterable[Program]) -> Mapping[str, RulesFile]:
        """The rules files of adapters that are given one in a ConfigMap."""
        rules_files = {}
        for one in programs:
            file = flag(one.deployment, "config") if one.kind == "adapter" else None
            held = find_volume(one.deployment, file) if file else None
            if held is None or held[0].config_map is None or not held[0].config_map.name:
                continue
            path = partial(CONFIG_MAPS.path, one.namespace, held[0].config_map.name)
            written = await self._calls.get(f"ConfigMap {one.namespace}/{held[0].config_map.name}", path, ConfigMap)
            if written is not None and held[1] in written.data:
                rules_files[str(one)] = RulesFile(held[0].config_map.name, written.data[held[1]])
        return rules_files

    async def _offers(self, seen: Snapshot) -> Mapping[str, frozenset[str]]:
        """The names on offer in the custom and the external API, for each of them that somebody serves."""
        offers = {}
        for group in (CUSTOM, EXTERNAL):
            if versions := sorted(one.spec.version for one in seen.api_services if one.spec.group == group):
                path = partial("/apis/{}/{}".format, group, versions[-1])
                listed = await self._calls.get(f"metrics of {group}", path, objects.ApiResources)
                if listed is not None:
                    offers[group] = frozenset(one.name for one in listed.resources)
        return offers

    async def _readiness(self, seen: Snapshot) -> Mapping[str, str]:
        """What adapters that are ready say of themselves, through their Services."""
        readiness = {}
        for one in seen.programs:
            services = [served.spec.service for served in seen.apis_in(one.namespace)]
            if one.kind != "adapter" or not services or not one.deployment.status.available_replicas:
                continue
            to = f"https:{services[0].name}:{services[0].port}" if services[0] else ""
            path = objects.SERVICES.path(one.namespace, to, "proxy") + "/readyz"

            async def call(path: str = path) -> bytes:
                return await self._calls.client.get(path, params={"verbose": ""}, accept="text/plain, */*")

            readiness[str(one)] = (await self._calls.attempt(f"/readyz of {one}", call, b"")).decode(errors="replace")
        return readiness

    async def _lacking(self, seen: Snapshot) -> Sequence[tuple[Program, Right]]:
        """Rights that programs need and have not; of all, also where one review is refused."""
        wanted = [(one, right) for one in seen.programs for right in rights_needed(seen, one)]
        allowed = await asyncio.gather(*(self._may(one, right) for one, right in wanted))
        if refused := sum(answer is None for answer in allowed):
            self._calls.unseen.append(Unseen("rights of programs", f"{refused} of {len(wanted)} access reviews failed"))
        return [pair for pair, answer in zip(wanted, allowed, strict=True) if answer is False]

    async def _may(self, program: Program, right: Right) -> bool | None:
        """Whether it may; None where that cannot be asked."""
        try:
            async with self._calls.turn():
                review = await self._calls.client.create(
                    SUBJECT_ACCESS_REVIEWS.path(), review_of(program, right), Reviewed
                )
        except (KubeError, TimeoutError):
            return None
        return review.status.allowed

    async def _questions(self, seen: Snapshot) -> Mapping[str, Sequence[Question]]:
        starving = [hpa for hpa in seen.hpas if starves(hpa)]
        wanting = [*starving, *(hpa for hpa in seen.hpas if lacks(hpa))][:ASKED]
        asked = await asyncio.gather(*(self._ask_questions(seen, hpa) for hpa in wanting))
        keys = (f"{hpa.metadata.namespace}/{hpa.metadata.name}" for hpa in wanting)
        return dict(zip(keys, asked, strict=True))

    async def _ask_questions(self, seen: Snapshot, hpa: Hpa) -> Sequence[Question]:
        selector = await self._selector(hpa)
        if selector is None:
            return ()
        served = {one.spec.group: one.spec.version for one in seen.api_services}  # ends with the newer
        outcomes = []
        for path in questions(hpa, selector, served):
            try:
                async with self._calls.turn():
                    answer = await self._calls.client.get(path, objects.Items)
                outcomes.append(Question(path, "" if answer.items else EMPTY))
            except KubeError as error:
                outcomes.append(Question(path, plain(str(error))))
            except TimeoutError:
                break
        return outcomes

    async def _selector(self, hpa: Hpa) -> str | None:
        """The pods' selector of its target; None where the target is of a kind that is not looked up, or gone."""
        target = hpa.spec.scale_target_ref
        if target.kind not in KINDS:
            return None
        try:
            path = KINDS[target.kind].path(hpa.metadata.namespace, target.name, "scale")
            async with self._calls.turn():
                return (await self._calls.client.get(path, Scale)).status.selector
        except (KubeError, TimeoutError, ValueError):  # ValueError: a name that cannot be one
            return None


async def _together(**wanted: Awaitable[Any]) -> dict[str, Any]:
    """Awaits all at once; their results by the same names."""
    return dict(zip(wanted, await asyncio.gather(*wanted.values()), strict=True))
