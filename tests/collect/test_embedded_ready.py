"""When the embedded source is ready: two scrapes of each target that answers, or half a minute."""

from prometheus_client import CollectorRegistry

from adapter.collect.embedded import Embedded, EmbeddedOptions
from adapter.kube.index import Index
from adapter.metrics.scrape.health import Health


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def new_embedded(clock: Clock, **health: Health) -> Embedded:
    """An embedded source that has just begun, with targets that are doing as said."""
    embedded = Embedded(EmbeddedOptions(), CollectorRegistry(), Index(), Index(), clock=clock)
    embedded._scraper._health.update(health)
    return embedded


def test_a_target_that_answers_is_waited_for_until_its_second_scrape() -> None:
    """A rate needs two samples; one that fails could be failing for ever."""
    embedded = new_embedded(Clock(), once=Health(scrapes=1), twice=Health(scrapes=2), failing=Health(error="no answer"))
    assert embedded.waiting() == "1 targets were not scraped twice yet, once among them"
    embedded._scraper.health["once"].scrapes = 2
    assert embedded.waiting() == ""


def test_nobody_is_waited_for_longer_than_30_s() -> None:
    clock = Clock()
    embedded = new_embedded(clock, slow=Health(scrapes=0))
    clock.now += 29.9
    assert embedded.waiting() == "1 targets were not scraped twice yet, slow among them"
    clock.now += 0.1
    assert embedded.waiting() == ""
