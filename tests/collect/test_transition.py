"""Pods come, go, crash and change places under a load that never changes: what the HPA would want at each second.

A small world in fast time: pods that are scraped every 5 s at phases of their own, a load balancer that shares 150
requests/s (Poisson) among those that are ready, the real store, the real formula. The HPA has 3 replicas and a target
at either edge of its tolerance: at 47.2 requests/s per pod the ratio is 50 / 47.2 = 1.059, at 54 it is 0.926.
"""

import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.collect.evaluate import settle
from adapter.collect.groups import GroupKey, Groups
from adapter.collect.presence import Presences
from adapter.collect.shorter import Since as SinceChanges
from adapter.collect.shorter import since_changes
from adapter.collect.snapshot import Reading, tabulate
from adapter.collect.transition import Moments, Settled, Span, Transitions
from adapter.collect.unison import PATIENCE, Cohort, Kept
from adapter.hpa.model import PodState, PodValue
from adapter.kube.index import Index
from adapter.kube.objects import Condition, ObjectMeta, Pod, PodStatus
from adapter.metrics.sample import Series
from adapter.metrics.scrape.scraper import FIRST_S
from adapter.metrics.slices import run
from adapter.metrics.source import Query, Since
from adapter.metrics.store.silent import silent
from adapter.metrics.store.store import Store
from adapter.units.selector import Selector
from tests import would_be

T = TypeVar("T")
START = 1_000_000.0
LOAD, REPLICAS, INTERVAL, STEP = 150.0, 3, 5.0, 0.5
QUERY = Query("sum by (namespace, pod) (rate(hits[60s]))", True)
WEB = Selector.parse("app=web")
EDGES = {"upper edge": 47.2, "lower edge": 54.0}


@dataclass
class Running:
    """One pod of the world."""

    name: str
    born: float
    ready_at: float
    ready: bool = False
    ends: bool = False
    count: float = 0.0
    share: float = 1.0
    """Of the load, relative to the others."""
    mute: bool = False
    """Its page lacks the metric."""
    down: bool = False
    """Its scrapes fail, and requests go elsewhere; nobody has told so yet."""
    phase: float = field(init=False)
    created: float = field(init=False)
    next_scrape: float = field(init=False)
    turned: float = -1e9
    """When it last became ready or unready."""

    def __post_init__(self) -> None:
        self.phase = zlib.crc32(self.name.encode()) % 1500 / 100
        self.created = self.next_scrape = self.born

    def turn(self, now: float, interval: float, least: float = 0.0) -> float:
        """When it is scraped next, `least` or more s from `now`."""
        wait = interval - (now - self.phase) % interval
        return now + (wait if wait > max(least, interval / 100) else wait + interval)


def run_to_end(evaluation: Coroutine[Any, Any, T]) -> T:
    """What comes of an evaluation that waits for nobody."""
    try:
        evaluation.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits")


class World:
    """Pods, load, store and what the adapter knows; `ordinary` leaves out all that this file is about."""

    interval, refresh, span, history = INTERVAL, 1.0, Span(), 130.0

    def __init__(self, seed: int, target: float, *, ordinary: bool = False) -> None:
        self.now = START
        self.rng = np.random.default_rng(seed)
        self.target, self.ordinary, self.load = target, ordinary, LOAD
        self.pods: dict[str, Running] = {}
        self.index: Index[Pod] = Index()
        self.presences = Presences(lambda: self.now)
        self.transitions = Transitions(self.presences, Groups(self.presences, self.index.select), INTERVAL)
        self.index.on_change(self.presences.note_change)
        self.store = Store()
        self.served = Settled({})
        self.wanted: list[int | None] = []
        self._number = 0
        for _ in range(REPLICAS):
            self.add(0)
        self.run(self.history + float(self.rng.uniform(0, 15)))
        self.wanted.clear()

    # ---- what happens to pods

    def add(self, ready_after: float) -> Running:
        name = f"web-{self._number}"
        self._number += 1
        self.pods[name] = Running(name, self.now, self.now + ready_after)
        self._tell(self.pods[name])
        return self.pods[name]

    def ready(self, pod: Running, is_ready: bool, again_in: float = 1e9) -> None:
        pod.ready, pod.ready_at = is_ready, self.now + again_in
        pod.turned = self.now
        pod.next_scrape = min(self.now + FIRST_S, pod.turn(self.now, self.interval))
        if not is_ready:
            self._forget(pod)
        self._tell(pod)

    def restart(self, pod: Running, again_in: float) -> None:
        pod.count = 0.0
        self.ready(pod, False, again_in)

    def remove(self, pod: Running, linger: float = 2.0) -> None:
        pod.ends = True
        self.ready(pod, False)
        self.run(linger)
        del self.pods[pod.name]
        self.index.remove("shop", pod.name)

    def _forget(self, pod: Running) -> None:
        if not self.ordinary:
            self.store.forget({"namespace": "shop", "pod": pod.name})

    def _tell(self, pod: Running) -> None:
        since = datetime.fromtimestamp(int(self.now), UTC)
        meta = ObjectMeta(
            namespace="shop", name=pod.name, labels={"app": "web"}, uid=pod.name,
            creation_timestamp=datetime.fromtimestamp(int(pod.created), UTC),
            deletion_timestamp=since if pod.ends else None,
        )  # fmt: skip
        status = PodStatus("Running", conditions=(Condition("Ready", str(pod.ready), last_transition_time=since),))
        self.index.put(Pod(metadata=meta, status=status))

    # ---- time

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self._step()

    def _step(self) -> None:
        self.now += STEP
        for pod in list(self.pods.values()):
            if not pod.ready and not pod.ends and self.now >= pod.ready_at:
                self.ready(pod, True)
        taking = [pod for pod in self.pods.values() if pod.ready and not pod.down]
        shares = sum(pod.share for pod in taking)
        for pod in taking:
            pod.count += self.rng.poisson(self.load * STEP * pod.share / shares)
        for pod in self.pods.values():
            if (pod.ready or self.ordinary) and self.now >= pod.next_scrape:
                self._scrape(pod)
        if self.now % self.refresh < STEP:
            self._serve()
        if self.now % 1 < STEP:
            self.wanted.append(self._decide())

    def _scrape(self, pod: Running) -> None:
        """As `adapter.metrics.scrape.scraper` does."""
        labels = {"namespace": "shop", "pod": pod.name}
        first = self.now - pod.turned < FIRST_S + STEP
        pod.next_scrape = pod.turn(self.now, self.interval, self.interval / 2 if first else 0.0)
        hits = [] if pod.mute or pod.down else [(Series.of("hits", labels), pod.count, self.now)]
        self.store.extend([*hits, (Series.of("up", labels), float(not pod.down), self.now)])

    def _serve(self) -> None:
        if self.ordinary:
            self.served = Settled(
                tabulate(
                    self.store.query(QUERY, self.now), object_label="pod", namespace_label="namespace", namespace=""
                )
            )
            return
        self.transitions.groups.note_request("shop", WEB, self.now, "hpas")
        evaluation = settle(self.transitions, {"shop"}, self.served, ask=self._ask, silent=self._silent, at=self.now)
        self.served = run_to_end(evaluation)

    async def _silent(self, pods: Since) -> frozenset[tuple[str, str]]:
        return run(silent(self.store, QUERY, self.now, pods))

    async def _ask(self, since: Since) -> dict[tuple[str, str], Reading]:
        return tabulate(
            self.store.query(QUERY, self.now, since), object_label="pod", namespace_label="namespace", namespace=""
        )

    def _why_left_out(self, pod: Running, reading: Reading) -> str:
        if self.ordinary:
            return ""
        key = ("shop", pod.name)
        begin = self._begin(pod)
        return self.transitions.why_left_out(key, reading, selector=WEB, span=self.span, now=self.now, begin=begin)

    def _begin(self, pod: Running) -> float | None:
        """Since when its rate was taken, where that is not over a window of a fixed length."""
        return None

    def _decide(self) -> int | None:
        """What the HPA would want of 3 replicas now; None where it has no value of any pod and holds."""
        values = {}
        for pod in self.pods.values():
            reading = self.served.readings.get(("shop", pod.name))
            if reading is not None and not self._why_left_out(pod, reading):
                values[pod.name] = PodValue(round(reading.value * 1000), reading.time)
        pods = [
            PodState(pod.name, start=pod.created, ready=str(pod.ready), ready_since=pod.created, deleted=pod.ends)
            for pod in self.pods.values()
        ]
        return would_be.size(values, pods, replicas=REPLICAS, target=self.target, now=self.now)


class PrometheusWorld(World):
    """The same with Prometheus' own rates: each pod scraped every 15 s, `rate(hits[2m])` asked every 5 s."""

    interval, refresh, span, history = 15.0, 5.0, Span(120.0, 15.0), 300.0

    def __init__(self, seed: int, target: float, *, ordinary: bool = False) -> None:
        self.scraped: dict[str, list[tuple[float, float]]] = {}
        self.since = SinceChanges({})
        super().__init__(seed, target, ordinary=ordinary)

    def _forget(self, pod: Running) -> None:
        """Prometheus forgets nothing."""

    def _serve(self) -> None:
        for pod in self.pods.values():
            if self.now - pod.created >= 2 and not pod.down:  # it listens, whether it is ready or not
                samples = self.scraped.setdefault(pod.name, [])
                if not samples or self.now - samples[-1][0] >= self.interval:
                    samples.append((self.now, pod.count))
        self.transitions.groups.note_request("shop", WEB, self.now, "hpas")
        if self.ordinary:
            self.since = SinceChanges(self._rates(self.span.window))
        else:
            evaluation = since_changes(
                self.transitions, {"shop"}, self._rates(self.span.window), self.since.totals,
                ask=self._ask_over, window=self.span.window, at=self.now,
                intervals={("shop", name): self.interval for name in self.pods},
            )  # fmt: skip
            self.since = run_to_end(evaluation)
        self.served = Settled(self.since.readings)

    async def _ask_over(self, window: float) -> dict[tuple[str, str], Reading]:
        return self._rates(window)

    def _rates(self, window: float) -> dict[tuple[str, str], Reading]:
        readings = {}
        for name in self.pods:
            rate = prometheus_rate(self.scraped.get(name, []), self.now, window)
            if rate is not None:
                readings["shop", name] = Reading(rate, self.scraped[name][-1][0], 0.0)
        return readings

    def _begin(self, pod: Running) -> float | None:
        return self.since.begins.get(("shop", pod.name))


def prometheus_rate(samples: list[tuple[float, float]], now: float, window: float) -> float | None:
    """Prometheus' rate() of a counter (promql/functions.go, extrapolatedRate)."""
    inside = [(time, value) for time, value in samples if now - window < time <= now]
    if len(inside) < 2:
        return None
    pairs = list(pairwise(inside))
    grown = sum(after if after < before else after - before for (_, before), (_, after) in pairs)
    (first, start_value), (last, _) = inside[0], inside[-1]
    sampled, usual = last - first, (last - first) / len(pairs)
    head, tail = first - (now - window), now - last
    head = usual / 2 if head >= 1.1 * usual else head
    tail = usual / 2 if tail >= 1.1 * usual else tail
    if grown > 0 and start_value >= 0:
        head = min(head, sampled * start_value / grown)
    return grown * (sampled + head + tail) / sampled / window


# ---- disturbances, none of which changes the load


def rolling(world: World, *, surge: int, unavailable: int, ready_after: float) -> None:
    """As the Deployment controller rolls: at most `surge` more, at most `unavailable` less than wanted."""
    old = list(world.pods.values())
    new: list[Running] = []
    while old:
        while len(old) + len(new) < REPLICAS + surge and len(new) < REPLICAS:
            new.append(world.add(ready_after))
        ready = [pod for pod in (*old, *new) if pod.ready]
        if len(ready) > REPLICAS - unavailable:
            world.remove(old.pop(0), linger=1.0)
        world.run(STEP)


def delete_pod(world: World, ready_after: float) -> None:
    """A pod is deleted, or its node drained, and another takes its place."""
    pod = next(iter(world.pods.values()))
    world.add(ready_after)
    world.remove(pod)


def crash_container(world: World, *, times: int, ready_after: float) -> None:
    """A container of one pod ends, and is started again."""
    for _ in range(times):
        world.restart(world.pods[min(world.pods)], ready_after)
        world.run(ready_after + 12)


def notice_crash_late(world: World, *, after: float) -> None:
    """A container ends, and its pod is not ready only some seconds later."""
    pod = world.pods[min(world.pods)]
    for _ in range(2):
        pod.down = True
        world.run(after)
        pod.down = False
        world.restart(pod, 5)
        world.run(30)


def flapping(world: World, *, off: float, on: float) -> None:
    """A readiness probe fails now and then."""
    pod = world.pods[min(world.pods)]
    for _ in range(4):
        world.ready(pod, False, off)
        world.run(off + on)


def moving(world: World) -> None:
    """Half of one pod's requests go to another: long-lived connections are shared anew."""
    one, other, _ = world.pods.values()
    one.share, other.share = 0.5, 1.5


DISTURBANCES: dict[str, Callable[[World], None]] = {
    "rollout 1/0, ready at once": partial(rolling, surge=1, unavailable=0, ready_after=0),
    "rollout 1/0, ready after 5 s": partial(rolling, surge=1, unavailable=0, ready_after=5),
    "rollout 1/0, ready after 20 s": partial(rolling, surge=1, unavailable=0, ready_after=20),
    "rollout 1/1, ready after 20 s": partial(rolling, surge=1, unavailable=1, ready_after=20),
    "rollout 3/0, ready after 5 s": partial(rolling, surge=3, unavailable=0, ready_after=5),
    "deletion, ready after 20 s": partial(delete_pod, ready_after=20),
    "second crash": partial(crash_container, times=2, ready_after=5),
    "crash noticed late": partial(notice_crash_late, after=4),
    "crash loop": partial(crash_container, times=5, ready_after=15),
    "flaps of 10 s": partial(flapping, off=10, on=10),
    "flaps of 3 s": partial(flapping, off=3, on=20),
    "load moves": moving,
}


def wrong_seconds(
    disturb: Callable[[World], None],
    seed: int,
    target: float,
    *,
    ordinary: bool = False,
    kind: type[World] = World,
) -> int:
    """Seconds in which the HPA would want another size than 3, until long after the disturbance."""
    world = kind(seed, target, ordinary=ordinary)
    disturb(world)
    world.run(1.5 * world.span.window or 120)
    return sum(wanted not in (None, REPLICAS) for wanted in world.wanted)


@pytest.mark.parametrize("kind", [World, PrometheusWorld])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_no_disturbance_makes_the_hpa_want_another_size(disturbance: str, edge: str, kind: type[World]) -> None:
    assert wrong_seconds(DISTURBANCES[disturbance], 1, EDGES[edge], kind=kind) == 0


@pytest.mark.parametrize("seed", [0, 2, 6, 13, 18])
def test_rollouts_in_a_row_or_of_slow_pods_do_not_make_the_total_unknown(seed: int) -> None:
    """Changes follow each other for longer than a group waits; rates of some seconds are a tenth off by chance."""

    def one_after_the_other(world: World) -> None:
        rolling(world, surge=1, unavailable=1, ready_after=0)
        world.run(25)
        rolling(world, surge=1, unavailable=0, ready_after=5)

    assert wrong_seconds(one_after_the_other, seed, EDGES["upper edge"]) == 0
    assert wrong_seconds(DISTURBANCES["rollout 1/0, ready after 5 s"], seed, EDGES["upper edge"]) == 0


@pytest.mark.parametrize("seed", [1, 12])
def test_a_crash_that_is_noticed_late_does_not_make_the_total_unknown(seed: int) -> None:
    """Scrapes fail while the pod is still Ready: the others' sum is not the load."""
    assert wrong_seconds(DISTURBANCES["crash noticed late"], seed, EDGES["upper edge"]) == 0


@pytest.mark.parametrize("kind", [World, PrometheusWorld])
def test_without_the_rules_the_same_disturbances_do(kind: type[World]) -> None:
    """Else the test above could not fail."""
    wrong = {
        name: sum(wrong_seconds(disturb, 0, target, ordinary=True, kind=kind) for target in EDGES.values())
        for name, disturb in DISTURBANCES.items()
    }
    assert sum(seconds > 0 for seconds in wrong.values()) >= 6, wrong


@pytest.mark.parametrize("seed", range(3))
def test_a_real_step_is_found_no_later(seed: int) -> None:
    def until_five(*, ordinary: bool) -> int:
        world = World(seed, 50, ordinary=ordinary)
        world.load = 240  # 240 / 50 = 4.8
        world.run(60)
        return next(second for second, wanted in enumerate(world.wanted) if wanted == 5)

    assert until_five(ordinary=False) <= until_five(ordinary=True) + 1


def until_seen(seed: int, *, ordinary: bool) -> float:
    """s from a load that doubles, for all pods at once, until the sum of what is served is 85 % of it."""
    world = World(seed, 50, ordinary=ordinary)
    world.run(seed * STEP % INTERVAL)  # the phase of the step within the scrapes
    began, world.load = world.now, 2 * LOAD
    while sum(reading.value for reading in world.served.readings.values()) < 0.85 * world.load:
        world.run(STEP)
    return world.now - began


def test_a_load_of_which_all_get_more_is_seen_as_soon_as_each_by_itself_would() -> None:
    """No request can count twice: so nobody waits until all have a whole interval since."""
    ours, ordinary = (sum(until_seen(seed, ordinary=plain) for seed in range(10)) for plain in (False, True))
    assert ours <= ordinary


def test_load_that_moves_because_pods_have_changed_is_waited_for_though_it_comes_late() -> None:
    """A pod left at 980, and the others got its requests a second later: mixed intervals would show too little."""
    one, other = ("shop", "web-0"), ("shop", "web-1")
    kept = [Kept({one: Reading(50, 985, 60), other: Reading(50, 985, 60)}, [other])]
    cohort = Cohort((one, other), changed=980)

    def recent_moments(cut: float) -> Moments | None:
        key = GroupKey("shop", WEB)
        return Moments([key], [cohort], [{one: 980, other: 980}], [cut], 5, lambda _: 0.0).recent(kept)

    assert recent_moments(986) is None
    later = recent_moments(995)
    assert later is not None
    assert later.cuts == [990]


# ---- what is told of a single pod


def why_left_out(
    world: World, pod: Running, reading: Reading | None, *, span: Span | None = None, alone: bool = False
) -> str:
    selector = None if alone else WEB
    return world.transitions.why_left_out(
        ("shop", pod.name), reading, selector=selector, span=span or Span(), now=world.now
    )


@pytest.fixture
def quiet() -> World:
    return World(0, 50)


def test_a_pod_that_is_not_ready_says_for_how_long(quiet: World) -> None:
    pod = quiet.add(1e9)
    quiet.now += 12
    assert why_left_out(quiet, pod, None) == "not ready for 12 s"
    assert why_left_out(quiet, pod, Reading(0, quiet.now, 5)) == "not ready for 12 s"


def test_a_window_from_before_the_pod_was_ready_is_no_value(quiet: World) -> None:
    pod = quiet.add(0)
    quiet.run(STEP)
    quiet.now += 7
    since = quiet.now - 7
    assert why_left_out(quiet, pod, Reading(50, since + 5, 5)) == ""
    assert why_left_out(quiet, pod, Reading(50, since + 5, 6)) == "ready for 7 s, and no whole interval since"
    assert why_left_out(quiet, pod, Reading(50, since - 1, 0)) == "ready for 7 s, and no whole interval since"
    assert why_left_out(quiet, pod, Reading(50, since + 1, 0)) == ""  # a plain value was sampled since


def test_a_fixed_window_counts_in_part_while_nobody_has_left(quiet: World) -> None:
    """rate over 120 s of a pod that is ready for 40 s: a third of its rate, and the others' are as much too high."""
    span = Span(120.0, 15.0)
    pod = quiet.add(0)
    quiet.run(STEP)
    quiet.now += 40
    assert why_left_out(quiet, pod, Reading(16, quiet.now, 0), span=span) == ""
    assert why_left_out(quiet, pod, Reading(0, quiet.now - 30, 0), span=span) == "ready for 40 s, and no sample since"
    quiet.ready(quiet.pods["web-0"], False)
    sentence = "ready for 40 s; another pod has left, so its rate counts when its 120 s are whole"
    assert why_left_out(quiet, pod, Reading(16, quiet.now, 0), span=span) == sentence
    assert why_left_out(quiet, pod, Reading(16, quiet.now, 0), span=span, alone=True) == ""  # nobody averages it
    quiet.now += 81
    assert why_left_out(quiet, pod, Reading(50, quiet.now, 0), span=span) == ""


def test_of_a_pod_that_nobody_knows_nothing_is_left_out(quiet: World) -> None:
    assert quiet.transitions.why_left_out(("shop", "x"), None, selector=WEB, span=Span(), now=quiet.now) == ""


# ---- how long the values of before are served

AGE = (1 + PATIENCE) * INTERVAL + 1
"""s: one interval old when the load changes, held for three; an evaluation comes every second."""
TURNS = st.lists(st.tuples(st.floats(0.5, 12), st.floats(0.5, 12)), min_size=1, max_size=12)
"""For so long a pod is unready, and ready again."""


def oldest(world: World, turns: list[tuple[float, float]], pod: Running) -> float:
    """While `pod` turns: the age, s, of the oldest value that the others ever have."""
    ages = []
    for off, on in turns:
        world.ready(pod, False, off)
        for _ in range(round((off + on) / STEP)):
            world.run(STEP)
            ages += [world.now - world.served.readings["shop", name].time for name in ("web-1", "web-2")]
    return max(ages)


@given(turns=TURNS)
@settings(max_examples=12, deadline=None)
def test_however_one_pod_flaps_the_others_values_are_never_older_than_the_bound(
    turns: list[tuple[float, float]],
) -> None:
    world = World(1, 50)
    assert oldest(world, turns, world.pods["web-0"]) <= AGE


def test_changes_in_a_row_reach_that_bound_and_the_values_are_young_again_though_they_go_on() -> None:
    world = World(1, 50)
    assert oldest(world, [(3, 3)] * 3, world.pods["web-0"]) > 2 * INTERVAL + 1
    world.run(STEP)
    assert oldest(world, [(3, 3)] * 10, world.pods["web-0"]) <= INTERVAL + 1


@given(turns=TURNS)
@settings(max_examples=12, deadline=None)
def test_a_pod_that_never_gives_a_value_leaves_the_others_as_they_are(turns: list[tuple[float, float]]) -> None:
    world = World(1, 50)
    pod = world.add(1e9)
    pod.mute, pod.share = True, 0.0
    assert oldest(world, turns, pod) <= INTERVAL + 1
