"""History from Prometheus at the start: bounded queries, one after the other, that cannot take a Prometheus down.

A day of one namespace at a time, each below the limit on points that servers set, retried with pauses. What cannot be
had is left out and said; the recommender starts all the same.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import stamina
import structlog

from recommender.model.containers import DAY, MISSING

log = structlog.get_logger(__name__)
MAX_POINTS: Final = 10_000
"""Per series and query; Prometheus refuses above 11,000."""
LEAST_RATE: Final = 300.0
"""s: a rate over less finds no two samples where a scrape is missed, or comes but once a minute."""
MAX_SERIES: Final = 20_000
"""Per query; beyond it a namespace is too large for one answer and is cut off."""
RETRIES: Final = 3
PAUSE: Final = 1.0
"""s before the second try"""


class HistoryError(Exception):
    """Prometheus gave no answer; the text says why."""


@dataclass(frozen=True)
class History:
    """Where history is and how it is labelled."""

    url: str
    verify: bool
    headers: Mapping[str, str]
    auth: tuple[str, str] | None
    timeout: float
    length: float
    resolution: float
    job: str
    cpu_metric: str
    memory_metric: str
    namespace_label: str
    pod_label: str
    container_label: str
    peaks: bool
    """Whether memory is the largest since the point before, and CPU a rate over enough samples, or both as VPA asks"""
    labels_metric: str
    """The metric of pods' labels, with …"""
    label_prefix: str
    labels_namespace: str
    labels_pod: str
    matchers: str = ""
    """More label matchers, in every query: which cluster, in a Prometheus of several"""

    def selector(self, namespace: str) -> str:
        """The label matchers of one namespace's containers."""
        container = self.container_label
        own = [f'{self.namespace_label}="{namespace}"', f'{self.pod_label}=~".+"', f'{container}!="POD"']
        return self._matching(*self._job(), *own, f'{container}!=""')

    def label_matchers(self, **labels: str) -> str:
        """The label matchers of what is not a container's usage: these labels, and what is asked of all."""
        return self._matching(*(f'{name}="{value}"' for name, value in labels.items()))

    def of_all(self, any_job: bool = False) -> str:
        """The label matchers of all containers, of the job that is asked for or of any."""
        return self._matching(*(() if any_job else self._job()), f'{self.container_label}!=""')

    def of_labels(self) -> str:
        """The metric of pods' labels over the whole history, as its flag says, with what is asked of all."""
        metric, range_ = self.labels_metric, f"[{self.length:.0f}s]"
        if metric.endswith("]"):
            metric, at, own = metric.rpartition("[")
            range_ = at + own
        name, _, asked = metric.removesuffix("}").partition("{")
        matching = self._matching(asked.strip().removesuffix(","))
        return f"{name}{matching if matching != '{}' else ''}{range_}"

    def _job(self) -> Sequence[str]:
        return (f'job="{self.job}"',) if self.job else ()

    def _matching(self, *wanted: str) -> str:
        return "{" + ", ".join(filter(None, (*wanted, self.matchers))) + "}"

    def nothing(self, namespace: str) -> str:
        """What to say where a namespace has no samples."""
        return (
            f"{self.url} has no samples of {self.memory_metric}{self.selector(namespace)}; "
            "--prometheus-cadvisor-job-name (empty for any) and --container-namespace-label and its like name others"
        )

    def queries(self, namespace: str) -> tuple[str, str]:
        """PromQL of CPU, cores, and memory, bytes: one series per pod and container."""
        by = f"{self.namespace_label}, {self.pod_label}, {self.container_label}"
        chosen, window = self.selector(namespace), f"[{max(self.resolution, 60):.0f}s]"
        memory = f"{self.memory_metric}{chosen}"
        wide = f"[{max(self.resolution, LEAST_RATE):.0f}s]" if self.peaks else window
        used = f"rate({self.cpu_metric}{chosen}{wide})"
        # What two jobs, or two replicas of an agent, scrape of one container is not twice its usage.
        apart = f"max by ({by}) (sum by ({by}, job, instance) ({used}))"
        return (
            apart if self.peaks else f"sum by ({by}) ({used})",
            f"max by ({by}) ({f'max_over_time({memory}{window})' if self.peaks else memory})",
        )


Series = Mapping[str, Any]
"""One series of an answer: {'metric': labels, 'values': [[time, text], …]}, or 'value' in an instant one."""


class Prometheus(Protocol):
    """What is asked of a Prometheus; see `connect`. Both raise HistoryError."""

    def ranges(self, query: str, start: float, end: float, step: float) -> Sequence[Series]:
        """A range query; times in Unix s."""
        ...

    def instant(self, query: str) -> Sequence[Series]:
        """A query at the present."""
        ...


class _Http:
    """A Prometheus over HTTP; each query is tried three times."""

    def __init__(self, history: History) -> None:
        from prometheus_api_client import PrometheusApiClientException, PrometheusConnect
        from requests import RequestException
        from urllib3 import Retry

        self._errors = (RequestException, PrometheusApiClientException, ValueError)
        self._history = history
        stamina.instrumentation.set_on_retry_hooks(())  # the last try's failure is said; one line is enough
        self._client = PrometheusConnect(
            url=history.url,
            headers=dict(history.headers),
            disable_ssl=not history.verify,
            auth=history.auth,
            retry=Retry(total=0),  # the retries below are the only ones
        )

    def ranges(self, query: str, start: float, end: float, step: float) -> Sequence[Series]:
        """See Prometheus."""
        moments = [datetime.fromtimestamp(at, UTC) for at in (start, end)]
        return self._retry(self._client.custom_query_range, query, *moments, step=str(step))

    def instant(self, query: str) -> Sequence[Series]:
        """See Prometheus."""
        return self._retry(self._client.custom_query, query)

    def _retry(self, ask: Callable[..., Any], *arguments: Any, **more: Any) -> Sequence[Series]:
        try:
            for attempt in stamina.retry_context(
                on=self._errors[:2], attempts=RETRIES, wait_initial=PAUSE, wait_max=20.0
            ):
                with attempt:
                    series = ask(*arguments, timeout=self._history.timeout, **more)
        except self._errors as error:
            raise HistoryError(f"{self._history.url}: {_cause(error)}") from error
        if len(series) > MAX_SERIES:
            log.warning("an answer is cut off", series=len(series), kept=MAX_SERIES, query=str(arguments[0])[:200])
        return list(series)[:MAX_SERIES]


def _cause(error: Exception) -> str:
    """What is wrong, without the pools and objects that urllib3 wraps it in."""
    reason = getattr(error.args[0], "reason", error) if error.args else error
    return " ".join(str(reason).rpartition("): ")[2].split())[:200]


def connect(history: History) -> Prometheus:
    """The Prometheus that `history` names; nothing is sent yet."""
    return _Http(history)


Rows = dict[tuple[str, str], dict[float, list[int]]]
"""(pod, container) -> time -> [millicores, bytes]"""


def chunks(start: float, end: float, step: float) -> Iterator[tuple[float, float]]:
    """The time between `start` and `end` in parts of a day at most, each with fewer points than servers refuse."""
    length = min(DAY, MAX_POINTS * step)
    for number in range(math.ceil((end - start) / length)):
        begin = start + number * length
        yield begin, min(begin + length - step, end)


def read_namespace(
    history: History, namespace: str, now: float, source: Prometheus, told: Callable[[int], None] | None = None
) -> Rows:
    """The samples of all containers of a namespace; `told` hears 1 for each query. Raises HistoryError."""
    rows: Rows = {}
    start = now - history.length
    for place, (query, scale) in enumerate(zip(history.queries(namespace), (1000.0, 1.0), strict=True)):
        for begin, end in chunks(start, now, history.resolution):
            if told:
                told(1)
            for series in source.ranges(query, begin, end, history.resolution):
                labels = series.get("metric", {})
                key = labels.get(history.pod_label, ""), labels.get(history.container_label, "")
                own = rows.setdefault(key, {})
                for time, value in points(series.get("values", ())):
                    own.setdefault(time, [MISSING, MISSING])[place] = int(value * scale)
    return rows


def points(values: Sequence[Any]) -> Iterator[tuple[float, float]]:
    """(time, value) of the samples that are numbers and not negative."""
    for entry in values:
        try:
            time, value = float(entry[0]), float(entry[1])
        except (TypeError, ValueError, IndexError):
            continue
        if math.isfinite(time) and math.isfinite(value) and 0 <= value < 1e14:
            yield time, value
