"""Groups of which nothing has changed for long cost nothing, and have the same values as if all were looked at."""

from collections.abc import Mapping
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from adapter.collect.evaluate import settle
from adapter.collect.groups import Groups
from adapter.collect.presence import Presences
from adapter.collect.snapshot import Reading
from adapter.collect.transition import RECENT, Settled, Transitions
from adapter.collect.unison import Key
from adapter.kube.index import Index
from adapter.kube.objects import Condition, ObjectMeta, Pod, PodStatus
from adapter.metrics.source import Since
from adapter.units.selector import Selector
from tests.collect.test_transition import run_to_end

NOW = 1_000_000.0
PODS = [("shop", f"{app}-{number}") for app in ("web", "api") for number in range(3)]
LONG_AGO = st.floats(RECENT + 1, 500)


def transitions(ages: Mapping[Key, float], *, all_recent: bool) -> Transitions:
    """Two HPAs of three pods, each pod ready for so many s."""
    index: Index[Pod] = Index()
    presences = Presences(lambda: NOW)
    index.on_change(presences.note_change)
    made = Transitions(presences, Groups(presences, index.select), 5.0)
    for (namespace, name), age in ages.items():
        since = datetime.fromtimestamp(NOW - age, UTC)
        status = PodStatus("Running", conditions=(Condition("Ready", "True", last_transition_time=since),))
        meta = ObjectMeta(namespace=namespace, name=name, labels={"app": name.partition("-")[0]})
        index.put(Pod(metadata=meta, status=status))
    for app in ("web", "api"):
        made.groups.note_request("shop", Selector.parse(f"app={app}"), NOW - 100, "hpas")
    if all_recent:
        for _, group in made.groups.within({"shop"}, NOW):
            group.turned = NOW
    return made


def serve(made: Transitions, windows: Mapping[Key, float]) -> tuple[Settled, list[Since]]:
    """The values, and what the source was told."""
    told: list[Since] = []

    async def ask(since: Since) -> dict[Key, Reading]:
        told.append(since)
        return {
            key: Reading(50.0, NOW - 1, window)
            for key, window in windows.items()
            if since.get(key, 0.0) <= NOW - window
        }

    async def silent(pods: Since) -> frozenset[Key]:
        return frozenset()

    before = Settled({key: Reading(40.0, NOW - 3, 60.0) for key in windows})
    return run_to_end(settle(made, {"shop"}, before, ask=ask, silent=silent, at=NOW)), told


@given(
    st.fixed_dictionaries(dict.fromkeys(PODS, st.one_of(LONG_AGO, st.floats(0, 400)))),
    st.dictionaries(st.sampled_from(PODS), st.one_of(st.floats(55, 60), st.floats(5, 60), st.just(0.0))),
)
def test_who_is_quiet_is_served_as_if_it_were_looked_at(ages: dict[Key, float], windows: dict[Key, float]) -> None:
    quick, all_looked_at = (serve(transitions(ages, all_recent=one), windows) for one in (False, True))
    assert quick == all_looked_at


def test_nothing_is_done_for_a_group_that_is_quiet() -> None:
    moments = transitions(dict.fromkeys(PODS, RECENT + 1), all_recent=False).moments({"shop"}, NOW)
    assert (len(moments.keys), len(moments.quiet)) == (0, 2)


def test_a_rate_that_finds_a_change_wakes_its_group_alone() -> None:
    made = transitions(dict.fromkeys(PODS, RECENT + 1), all_recent=False)
    readings = {key: Reading(50.0, NOW, 10.0 if key == PODS[0] else 58.0) for key in PODS}
    moments = made.moments({"shop"}, NOW).cut(readings)
    assert moments is not None
    assert [str(key.selector) for key in moments.keys] == ["app=web"]
    assert set(moments.since(NOW)) == set(PODS[:3])
