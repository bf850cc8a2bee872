"""Clocks that are set: the adapter's own, Prometheus', those of whoever writes times into a page."""

import json
import time
from datetime import datetime

from tests.attack.attack import attack
from tests.attack.field import CUSTOM, Field, Source
from tests.attack.objects import NAMESPACE, PODS

HOUR = 3600.0
FRESH = 20.0
"""s that a value may be old: the samples' times are asked for each 15 s, and are told in whole seconds."""
FOLLOWS = 6.0
"""s within which a new value must come through: a scrape and a refresh each second, on a slow machine."""
DEPTH = f"{CUSTOM}/namespaces/{NAMESPACE}/pods/*/queue_depth"


def _ages(field: Field, ahead: float) -> dict[str, tuple[str, float]]:
    """Value and age, s, of each pod by the adapter's wall clock, which is `ahead`."""
    answer = field.ask(DEPTH)
    assert answer.status == 200, answer
    wall = time.time() + ahead
    return {
        item["describedObject"]["name"]: (item["value"], wall - datetime.fromisoformat(item["timestamp"]).timestamp())
        for item in json.loads(answer.body)["items"]
    }


def _assert_fresh(field: Field, ahead: float, seconds: float) -> None:
    """All values are there, as old as they are, for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ages = _ages(field, ahead)
        assert set(ages) == set(PODS), f"{set(PODS) - set(ages)} lost with the clock {ahead:g} s ahead"
        assert all(-1.0 < age < FRESH for _, age in ages.values()), f"{ages} with the clock {ahead:g} s ahead"
        time.sleep(0.2)


def _assert_follows(field: Field, value: str) -> None:
    """A new value of web-0 comes through within `FOLLOWS` s, so that the source is still asked."""
    field.page("web-0", f"queue_depth {value}\n".encode())
    field.series([({"__name__": "queue_depth", "namespace": NAMESPACE, "pod": "web-0"}, value)])
    until = time.monotonic() + FOLLOWS
    while (answer := json.loads(field.ask(f"{CUSTOM}/namespaces/{NAMESPACE}/pods/web-0/queue_depth").body)) and (
        answer.get("items", [{}])[0].get("value") != value
    ):
        assert time.monotonic() < until, f"{value} is not served, but {answer}"
        time.sleep(0.1)


@attack("the adapter's wall clock is set back by an hour, then ahead by two, then right", section=4, stepped=True)
def steps_of_ours(field: Field) -> None:
    for number, ahead in enumerate((-HOUR, HOUR, 0.0)):
        field.set_clock(ahead)
        _assert_fresh(field, ahead, 1.0)
        _assert_follows(field, str(10 * field.count() + number + 20))
        _assert_fresh(field, ahead, 0.4)


@attack("the adapter's wall clock is set each 0.1 s while no new values come", section=4, stepped=True)
def steps_without_news(field: Field) -> None:
    """What is served grows old by the time that passes, however the clock is set."""
    for pod in PODS:
        field.page(pod, b"")
    field.prometheus_takes(30)
    field.hold(1.2)  # what was under way has come
    field.set_clock(0)
    began, before = time.monotonic(), _ages(field, 0)
    for ahead in (-HOUR, -1.0, 5.0, HOUR, 86_400.0, -86_400.0) * 3:
        field.set_clock(ahead)
        field.hold(0.1)
    field.set_clock(0)
    passed, now = time.monotonic() - began, _ages(field, 0)
    for pod, (_, age) in now.items():
        assert age > before[pod][1] + passed - 1.0, f"{pod} is shown {age:.1f} s old, was {before[pod][1]:.1f} before"


@attack("Prometheus' clock is set ahead by an hour", section=4, sources=(Source.PROMETHEUS,))
def steps_of_prometheus(field: Field) -> None:
    field.prometheus_is_ahead(HOUR)
    _assert_fresh(field, 0.0, 1.5)
    _assert_follows(field, str(field.count() + 20))


@attack("a page whose samples claim times an hour ahead and an hour back", section=4, sources=(Source.EMBEDDED,))
def odd_times(field: Field) -> None:
    now, hour = int(time.time() * 1000), 3_600_000
    field.page("web-0", f"queue_requests_total 0 {now + hour}\nqueue_requests_total 1000 {now - hour}\n")
    field.hold(3)
