"""Asks the new pods of a blue-green release before the switch: probes, and requests of our own, beside the turns.

The pods are asked at their own addresses, over the cluster's network, so no Service has to select them yet; an address
that is link-local or this machine's own is refused (`outside`). What is held in memory begins anew with another
controller: then probes are asked once more.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import lru_cache
from itertools import cycle
from typing import Any, Final, NamedTuple, Protocol

from adapter.rollout.beside import Beside
from adapter.rollout.decide.context import Context
from adapter.rollout.decide.wants import canary_pods
from adapter.rollout.model.observation import Pod
from adapter.rollout.model.policy import BlueGreen
from adapter.rollout.model.preview import Generate, Probe, Rounds, after, port_of, verdict
from adapter.rollout.model.status import Phase
from adapter.rollout.model.tls import NO_CA, Tls, authorities, is_ca
from adapter.rollout.model.verdict import Verdict
from adapter.rollout.model.window import Counts
from adapter.rollout.outside import OutsideError, Trust

SECONDS: Final = 30.0
"""That one job may take."""
BURST: Final = 5.0
"""Seconds of requests of our own that make one window."""
MOST_JOBS: Final = 50
MOST_RELEASES: Final = 1000
"""Whose rounds are held in memory."""
MOST_PODS: Final = 20
"""That one round of a probe asks."""
MOST_BEHIND: Final = 10
"""Requests of our own of one release that wait for an answer at the same time."""
PATIENCE: Final = 5.0
"""Seconds that a request of our own may take."""
MOST_TRUSTS: Final = 64
"""Kinds of TLS that are held in memory."""
BAD: Final = 500
"""The status from which on an answer to our own requests is bad."""


class Get(Protocol):
    """A GET whose answer's body is bounded."""

    async def get(self, url: str, headers: Mapping[str, str], seconds: float, trust: Trust | None = None) -> int:
        """The status. Raises OutsideError."""
        ...


class _Release(NamedTuple):
    rounds: dict[str, Rounds]
    asked: dict[str, float]
    sent: list[int]
    under: list[str]
    """Probes of the round that is under way."""


class Preview:
    """What is known of all releases that are looked at."""

    def __init__(self, outside: Get) -> None:
        self._outside = outside
        self._probes: Beside[dict[str, str]] = Beside(SECONDS, MOST_JOBS)
        self._bursts: Beside[Counts] = Beside(SECONDS, MOST_JOBS)
        self._known: dict[str, _Release] = {}

    async def close(self) -> None:
        """Ends what is under way."""
        await self._probes.close()
        await self._bursts.close()

    def look(self, ctx: Context) -> Counts | None:
        """Goes on asking once all new pods are there; gives the counts of a burst that has ended, else None."""
        blue_green, key = ctx.policy.spec.blue_green, ctx.release.id
        if blue_green is None or ctx.status.phase is not Phase.PREVIEWING:
            self._forget(key)
            return None
        if ctx.release.reached is None or ctx.release.waiting_since is not None:
            return None
        known = self._known.setdefault(key, _Release({}, {}, [0], []))
        while len(self._known) > MOST_RELEASES:
            del self._known[next(iter(self._known))]
        self._round(ctx, blue_green.probes, known)
        return self._burst(ctx, blue_green.generate, known) if blue_green.generate else None

    def verdict(self, ctx: Context, gates: Verdict) -> Verdict:
        """The verdict of the gates, unless the probes hold the release or roll it back."""
        blue_green = ctx.policy.spec.blue_green
        if blue_green is None or ctx.status.phase is not Phase.PREVIEWING:
            return gates
        known = self._known.get(ctx.release.id)
        return verdict(blue_green.probes, known.rounds if known else {}, gates)

    # --------------------------------------------------------------------------------------------------------- within

    def _forget(self, key: str) -> None:
        self._probes.forget(key)
        self._bursts.forget(key)
        self._known.pop(key, None)

    def _round(self, ctx: Context, probes: Sequence[Probe], known: _Release) -> None:
        done, results = self._probes.is_done(ctx.release.id), self._probes.take(ctx.release.id)
        if done and results is None:
            results = dict.fromkeys(known.under, f"the pods took longer than {SECONDS:g} s together")
        for name, wrong in (results or {}).items():
            known.rounds[name] = after(known.rounds.get(name, Rounds()), wrong)
        due = [each for each in probes if ctx.now - known.asked.get(each.name, 0.0) >= each.every_seconds]
        pods = canary_pods(ctx)[:MOST_PODS]
        if due and pods and not self._probes.busy(ctx.release.id):
            self._probes.start(ctx.release.id, self._ask(due, pods))
            known.asked.update({each.name: ctx.now for each in due})
            known.under[:] = [each.name for each in due]

    def _burst(self, ctx: Context, wanted: Generate, known: _Release) -> Counts | None:
        key, counts = ctx.release.id, self._bursts.take(ctx.release.id)
        left = wanted.requests - known.sent[0]
        pods = canary_pods(ctx)
        if left > 0 and pods and not self._bursts.busy(key):
            count = min(left, round(BURST * wanted.requests_per_second))
            if self._bursts.start(key, self._generate(wanted, pods, count)):
                known.sent[0] += count
        return counts

    async def _ask(self, probes: Sequence[Probe], pods: Sequence[Pod]) -> dict[str, str]:
        """What was wrong with each probe's round; '' for what was good."""
        rounds = await asyncio.gather(*(self._one(probe, pods) for probe in probes))
        return {probe.name: wrong for probe, wrong in zip(probes, rounds, strict=True)}

    async def _one(self, probe: Probe, pods: Sequence[Pod]) -> str:
        for pod in pods:  # one after the other: a probe is no load
            try:
                status = await self._get(pod, probe, probe.path, float(probe.timeout_seconds))
            except OutsideError as error:
                return f"pod {pod.name}: {error}"
            if not 200 <= status < 400:
                return f"pod {pod.name} answered {status} to {probe.path}"
        return ""

    async def _generate(self, wanted: Generate, pods: Sequence[Pod], count: int) -> Counts:
        """Evenly over BURST seconds, at the pods and the paths in turn."""
        room, targets, paths = asyncio.Semaphore(MOST_BEHIND), cycle(pods), cycle(wanted.paths)
        work = [
            _later(number / wanted.requests_per_second, room, self._sender(wanted, next(targets), next(paths)))
            for number in range(count)
        ]
        bad = sum(await asyncio.gather(*work))
        return Counts(float(count - bad), float(bad))

    def _sender(self, wanted: Generate, pod: Pod, path: str) -> Callable[[], Coroutine[Any, Any, bool]]:
        async def send() -> bool:
            try:
                return await self._get(pod, wanted, path, PATIENCE) >= BAD
            except OutsideError:
                return True

        return send

    async def _get(self, pod: Pod, wanted: Probe | Generate, path: str, seconds: float) -> int:
        address, number = str(pod.status.get("podIP") or ""), port_of(pod.spec.get("containers") or (), wanted.port)
        if not address or number is None:
            raise OutsideError(f"it has {'no such port' if address else 'no address'}")
        where = f"[{address}]" if ":" in address else address
        headers = {"User-Agent": "streamgate-rollout", **({"Host": wanted.host} if wanted.host else {})}
        trust = trusting(wanted.tls, wanted.tls.server_name or wanted.host) if wanted.scheme == "HTTPS" else None
        return await self._outside.get(f"{wanted.scheme.lower()}://{where}:{number}{path}", headers, seconds, trust)


@lru_cache(maxsize=MOST_TRUSTS)
def trusting(tls: Tls, name: str) -> Trust:
    """Whose certificate is taken. Raises OutsideError where nobody can be verified so."""
    if tls.insecure_skip_verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return Trust(context, name)
    try:
        context = ssl.create_default_context(cadata=authorities(tls.ca_bundle) if tls.ca_bundle else None)
    except (ValueError, ssl.SSLError):
        raise OutsideError(f"tls.caBundle: {NO_CA}") from None
    if not name:
        raise OutsideError("tls.serverName is missing: there is no name to verify")
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # authorities of clusters may lack key identifiers
    return Trust(context, name)


async def _later(seconds: float, room: asyncio.Semaphore, send: Callable[[], Coroutine[Any, Any, bool]]) -> bool:
    await asyncio.sleep(seconds)
    async with room:
        return await send()


def problems(spec: BlueGreen | None, template: Mapping[str, Any]) -> list[str]:
    """A sentence for each port that the template does not declare, and each CA that is none."""
    if spec is None:
        return []
    containers = (template.get("spec") or {}).get("containers") or ()
    asked: list[tuple[str, Probe | Generate]] = [(f"probes[{index}]", each) for index, each in enumerate(spec.probes)]
    asked += [("generate", spec.generate)] if spec.generate else []
    sentences = [
        f"spec.blueGreen.{field}.port: the template declares no container port {each.port or ''}".rstrip()
        + "; right would be one of its containerPorts, by number or name"
        for field, each in asked
        if port_of(containers, each.port) is None
    ]
    bundles = [(field, each.tls.ca_bundle) for field, each in asked if each.tls.ca_bundle]
    return sentences + [f"spec.blueGreen.{field}.tls.caBundle: {NO_CA}" for field, ca in bundles if not is_ca(ca)]
