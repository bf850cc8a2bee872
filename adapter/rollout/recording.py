"""Recorded windows, JSON lines, -> Window values and a sentence for each problem. Pure; memory is bounded by a line.

`{"time": epoch_s, "metrics": {"NAME": {"stable": {"good": n, "bad": n} | null, "canary": {…} | null}}}`; a gauge is
`{"value": x}`; `pods` beside the sums has the same pod by pod. null, NaN, infinity and a NAME that is not there are no
evidence. A line that cannot be used is said and left out; a value that cannot be used is said and is no evidence.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from adapter.rollout.model.fields import describe, finite, printable, span
from adapter.rollout.model.window import Arm, Arms, Counts, Gauge, Health, Reading, Window

MOST_BYTES: Final = 8 << 20
"""Of a line."""
MOST_COUNT: Final = 1e15
MOST_PODS: Final = 1_000_000
LATEST: Final = 1e11
"""s since 1970; later ones are milliseconds."""

IGNORED: Final = "it is taken as no evidence"
OBJECT: Final = 'right would be one such as {"time": 1700000000, "metrics": {…}}'
PODS: Final = ("pods", "unready", "crashLooping")

ReadingMap: TypeAlias = "dict[str, Reading]"


class Problem(NamedTuple):
    """One sentence about a line, from 1."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


def read(lines: Iterable[bytes], *, pods: bool = False) -> Iterator[Window | Problem]:
    """Windows and problems in the order of the file. `pods`: read the windows pod by pod as well."""
    newest = -math.inf
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        raw = _parse_line(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
        if isinstance(raw, str):
            yield Problem(number, raw)
            continue
        time = finite(raw.get("time"))
        if time is None or not 0 <= time < LATEST:
            right = "right would be seconds since 1970, such as 1700000000"
            yield Problem(number, f"time: {describe(raw.get('time'))} is no time; {right}; the line is left out")
            continue
        if time <= newest:
            yield Problem(
                number, f"time: {time:.15g} is not after {newest:.15g}; times have to rise; the line is left out"
            )
            continue
        newest = time
        problems: list[str] = []
        window = _window(raw, time, problems, pods=pods)
        yield from (Problem(number, text) for text in problems)
        yield window


def _parse_line(line: bytes) -> dict[str, Any] | str:
    """The object on a line, or what is wrong with it."""
    if len(line) > MOST_BYTES:
        return f"the line has more than {MOST_BYTES} bytes; right would be less; it is left out"
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else "it cannot be decoded"
        return f"this is no JSON: {why}; right would be an object a line; the line is left out"
    return raw if isinstance(raw, dict) else f"{describe(raw)} is no JSON object; {OBJECT}; the line is left out"


def _window(raw: Mapping[str, Any], time: float, problems: list[str], *, pods: bool) -> Window:
    metrics = raw.get("metrics")
    if not isinstance(metrics, dict):
        problems.append(f"metrics: {describe(metrics)} is no mapping; right would be a mapping of metrics' names")
        metrics = {}
    step = raw.get("step")
    by_pod: dict[Arm, dict[str, ReadingMap]] = {}
    if pods:
        _top_pods(raw.get("pods"), by_pod, problems)
        for name, arms in metrics.items():
            if isinstance(arms, dict):
                _metric_pods(name, arms.get("pods"), by_pod, problems)
    return Window(
        time=time,
        metrics={name: _arms(arms, f"metrics.{printable(name)}", problems) for name, arms in metrics.items()},
        health=_health(raw.get("health"), problems),
        step=step if isinstance(step, int) and not isinstance(step, bool) else None,
        pods=by_pod,
    )


def _arms(raw: object, path: str, problems: list[str]) -> Arms:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        problems.append(f"{path}: {describe(raw)} is no mapping; right would be stable and canary")
        return {}
    readings: dict[Arm, Reading] = {}
    for name, value in raw.items():
        if name == "pods":
            continue
        if name not in list(Arm):
            problems.append(f"{path}.{printable(name)}: no such arm; right would be stable or canary")
            continue
        reading = _reading(value, f"{path}.{name}", problems)
        if reading:
            readings[Arm(name)] = reading
    return readings


def _reading(raw: object, path: str, problems: list[str]) -> Reading | None:
    """Counts or a gauge; None: no evidence."""
    if raw is None:
        return None
    if not isinstance(raw, dict) or not ("value" in raw) ^ ("good" in raw or "bad" in raw):
        problems.append(
            f'{path}: {describe(raw)} is no reading; right would be {{"good": n, "bad": n}} or {{"value": x}}'
        )
        return None
    if "value" in raw:
        value = _number(raw, "value", problems, path=path)
        return None if value is None else Gauge(value)
    good, bad = (_number(raw, field, problems, path=path, least=0, most=MOST_COUNT) for field in ("good", "bad"))
    return None if good is None or bad is None else Counts(good, bad)


def _number(
    raw: Mapping[str, object],
    field: str,
    problems: list[str],
    *,
    path: str,
    least: float = -math.inf,
    most: float = math.inf,
) -> float | None:
    """The number of a field; None: no evidence (null, NaN, infinity), or a problem was added."""
    value = raw.get(field)
    if value is None and field in raw:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    number = finite(value)
    if number is None:
        right = span(least, most)
        problems.append(f"{path}.{field}: {describe(value)} is no number; right would be {right}; {IGNORED}")
        return None
    if not least <= number <= most:
        right = span(least, most)
        problems.append(f"{path}.{field}: {number:g} is no count of requests; right would be {right}; {IGNORED}")
        return None
    return number


def _health(raw: object, problems: list[str]) -> dict[Arm, Health]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        problems.append(f"health: {describe(raw)} is no mapping; right would be stable and canary")
        return {}
    _strange(raw, list(Arm), "health", "arm", problems)
    by_arm = {arm: _of_arm(raw[arm.value], f"health.{arm.value}", problems) for arm in Arm if arm.value in raw}
    return {arm: health for arm, health in by_arm.items() if health}


def _of_arm(raw: object, path: str, problems: list[str]) -> Health | None:
    """The health of one arm; None: nothing is known, or a problem was added."""
    if raw is None:
        return None
    if not isinstance(raw, dict):
        problems.append(f"{path}: {describe(raw)} is no mapping; right would be {', '.join(PODS)}")
        return None
    _strange(raw, PODS, path, "field", problems)
    counts: list[int] = []
    for name in PODS:  # of which the first is the most that the others may be
        value, most = raw.get(name, 0), counts[0] if counts else MOST_PODS
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            right = f"right would be a whole number of pods from 0 to {most}"
            problems.append(
                f"{path}.{name}: {describe(value)} is no good; {right}; the arm's health is taken as unknown"
            )
            return None
        counts.append(value)
    return Health(pods=counts[0], unready=counts[1], crash_looping=counts[2])


def _strange(raw: Mapping[str, object], known: Sequence[str], path: str, what: str, problems: list[str]) -> None:
    """Says which keys nobody reads."""
    right = f"right would be one of {', '.join(known)}"
    problems += [f"{path}.{printable(key)}: no such {what}; {right}" for key in raw if key not in known]


def _top_pods(raw: object, readings: dict[Arm, dict[str, ReadingMap]], problems: list[str]) -> None:
    """`pods` beside `metrics`: arm -> pod -> metric -> reading."""
    for arm, pod, values in _each_pod(raw, "pods", problems):
        if not isinstance(values, dict):
            wrong = f"{describe(values)} is no mapping; right would be readings by their metrics' names"
            problems.append(f"pods.{arm.value}.{printable(pod)}: {wrong}")
            continue
        for name, value in values.items():
            reading = _reading(value, f"pods.{arm.value}.{printable(pod)}.{printable(name)}", problems)
            if reading:
                readings.setdefault(arm, {}).setdefault(pod, {})[name] = reading


def _metric_pods(name: str, raw: object, readings: dict[Arm, dict[str, ReadingMap]], problems: list[str]) -> None:
    """`pods` beside a metric's sums: arm -> pod -> reading."""
    for arm, pod, value in _each_pod(raw, f"metrics.{printable(name)}.pods", problems):
        reading = _reading(value, f"metrics.{printable(name)}.pods.{arm.value}.{printable(pod)}", problems)
        if reading:
            readings.setdefault(arm, {}).setdefault(pod, {})[name] = reading


def _each_pod(raw: object, path: str, problems: list[str]) -> Iterator[tuple[Arm, str, object]]:
    if raw is None:
        return
    if not isinstance(raw, dict):
        problems.append(f"{path}: {describe(raw)} is no mapping; right would be stable and canary")
        return
    _strange(raw, list(Arm), path, "arm", problems)
    for arm in Arm:
        pods = raw.get(arm.value)
        if isinstance(pods, dict):
            yield from ((arm, pod, value) for pod, value in pods.items())
        elif pods is not None:
            problems.append(f"{path}.{arm.value}: {describe(pods)} is no mapping; right would be pods' names")
