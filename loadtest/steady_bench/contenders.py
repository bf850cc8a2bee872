"""Who is compared: our adapter with either source, and prometheus-adapter, with two usual settings of Prometheus."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from loadtest.adapter_bench.contenders import Ours, Peer, peer_rights, reader_rights
from tests.cluster.adapter import CUSTOM_API_SERVICES
from tests.cluster.bed import Bed
from tests.cluster.prometheus import PER_SECOND, RunningPrometheus, running_prometheus

METRIC = "http_requests_per_second"


class Contender(NamedTuple):
    """`scrape`, s, and `window` of Prometheus' rate; both empty for the embedded source with its defaults."""

    name: str
    ours: bool
    scrape: int = 0
    window: str = ""


EMBEDDED = Contender("ours, embedded, 5 s", True)
CONTENDERS = (
    EMBEDDED,
    Contender("ours, Prometheus 15 s, rate over 2m", True, 15, "2m"),
    Contender("prometheus-adapter, 15 s, rate over 2m", False, 15, "2m"),
    Contender("ours, Prometheus 5 s, rate over 30s", True, 5, "30s"),
    Contender("prometheus-adapter, 5 s, rate over 30s", False, 5, "30s"),
)


@contextmanager
def all_running(
    bed: Bed,
    folder: Path,
    behind: Contender,
    contenders: Sequence[Contender] = CONTENDERS,
    *,
    peer_flags: Sequence[str] = (),
    embedded_flags: Sequence[str] = (),
) -> Iterator[dict[Contender, Ours]]:
    """Every contender at its own port; the one `behind` the aggregator feeds the real HPAs."""
    with ExitStack() as stack:
        bed.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prometheus-adapter"}}])
        bed.apply([*peer_rights(), *reader_rights()])
        sources = {
            scrape: stack.enter_context(running_prometheus(bed, folder / f"prometheus-{scrape}", scrape_s=scrape))
            for scrape in sorted({one.scrape for one in contenders if one.scrape})
        }
        adapters = {
            one: _adapter(one, bed, folder / str(place), sources, _more(one, peer_flags, embedded_flags))
            for place, one in enumerate(contenders)
        }
        first = next(adapter for one, adapter in adapters.items() if one.ours)
        first.install()  # the rights of ours, whoever is behind the aggregator
        if adapters[behind] is not first:
            adapters[behind].install()
        for adapter in adapters.values():
            adapter.start()
            stack.callback(adapter.end)
        adapters[behind].wait_available(names=CUSTOM_API_SERVICES)
        yield adapters


def _more(contender: Contender, peer: Sequence[str], embedded: Sequence[str]) -> Sequence[str]:
    if contender.ours:
        return embedded if contender is EMBEDDED else ()
    return peer


def _adapter(
    contender: Contender, bed: Bed, folder: Path, sources: dict[int, RunningPrometheus], more: Sequence[str]
) -> Ours:
    folder.mkdir(parents=True)
    if not contender.scrape:
        return Ours(bed, folder, more, overlay="embedded")
    rules = folder / "config.yaml"
    rules.write_text(PER_SECOND.format(window=contender.window))
    flags = [f"--config={rules}", f"--prometheus-url={sources[contender.scrape].url}", *more]
    return Ours(bed, folder, flags, "prometheus") if contender.ours else Peer(bed, folder, flags)
