"""`make run`: three sample services, a gentle and changing load, and the adapter without a cluster, all on loopback.

Shows what each pod's rate is, as the custom metrics API serves it over TLS, and what an HPA would make of it.
"""

import argparse
import asyncio
import contextlib
import math
import os
import signal
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import yaml
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from adapter.hpa.decide import decide
from adapter.hpa.model import (
    History,
    HpaSpec,
    Invalid,
    Metric,
    Observed,
    PodState,
    PodValue,
    PodValues,
    Scale,
    Source,
    Target,
    TargetType,
)
from loadtest.load import Stream, drive
from loadtest.standalone import METRIC, PATH, Adapter, Served, free_port, program, sample_pod

PODS = ("sample-0", "sample-1", "sample-2")
SCRAPE = "2s"


def arrivals(pod: int, seconds: float) -> float:
    """The load on a pod, requests/s: a slow wave, each pod at its own phase, and a doubling for 30 s of each 90."""
    wave = 12 + 6 * math.sin(2 * math.pi * (seconds / 60 + pod / 3))
    return wave * (2 if seconds % 90 >= 45 and seconds % 90 < 75 else 1)


def objects(ports: Sequence[int], target: int) -> list[Mapping[str, object]]:
    """The pods and the HPA, as a cluster would describe them."""
    metric = {"metric": {"name": METRIC}, "target": {"type": "AverageValue", "averageValue": str(target)}}
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "sample", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "sample"},
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": [{"type": "Pods", "pods": metric}],
        },
    }
    return [*(sample_pod(name, port) for name, port in zip(PODS, ports, strict=True)), hpa]


def decide_as_hpa(served: Mapping[str, Served], target: int, history: History) -> tuple[str, History]:
    """What an HPA with that target would decide now, in its own words, and what it remembers."""
    spec = HpaSpec(
        max=10, min=1, metrics=(Metric(Source.PODS, METRIC, Target(TargetType.AVERAGE_VALUE, target * 1000)),)
    )
    values = {pod: PodValue(value.rate.milli(), value.time) for pod, value in served.items()}
    observed: Observed = PodValues(values) if values else Invalid("no value yet")
    scale = Scale(len(PODS), len(PODS))
    decision = decide(spec, scale, [observed], [PodState(pod) for pod in PODS], history, time.time())
    return decision.explanation, decision.history


class Meter:
    """How many requests/s were really sent, over the last seconds."""

    def __init__(self, stream: Stream, seconds: float = 5.0) -> None:
        self._stream = stream
        self._seconds = seconds
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self, now: float) -> float:
        """requests/s."""
        self._seen.append((now, self._stream.sent))
        while len(self._seen) > 2 and now - self._seen[0][0] > self._seconds:
            self._seen.popleft()
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if end > start else 0.0


def table(sent: Mapping[str, float], served: Mapping[str, Served]) -> Table:
    """One line per pod."""
    lines = Table(title=f"{METRIC} of pods with app=sample", title_justify="left")
    for heading in ("pod", "sent /s", "served /s", "age s", "window s"):
        lines.add_column(heading, justify="left" if heading == "pod" else "right")
    for pod in PODS:
        value = served.get(pod)
        shown = (
            (str(value.rate), f"{time.time() - value.time:.0f}", str(value.window or "")) if value else ("–", "", "")
        )
        lines.add_row(pod, f"{sent[pod]:.1f}", *shown)
    return lines


def hints(adapter: Adapter) -> str:
    """What a person may type."""
    credentials = adapter.folder
    curl = f"curl --cacert {credentials}/ca.crt --cert {credentials}/client.crt --key {credentials}/client.key"
    return "\n".join(
        [
            "Try, in another terminal:",
            f"  kubectl --kubeconfig {credentials}/kubeconfig get --raw '{PATH}'",
            f"  kubectl --kubeconfig {credentials}/kubeconfig api-versions",
            f"  {curl} '{adapter.url}{PATH}'",
            f"  {curl} '{adapter.url}/explain/namespaces/default/pods/*/{METRIC}?labelSelector=app%3Dsample'",
            f"  {curl} {adapter.url}/metrics",
        ]
    )


async def demonstrate(seconds: float | None, target: int, console: Console) -> None:
    """Run all of it, until cancelled or for `seconds`."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamgate-")))
        ports = [free_port() for _ in PODS]
        for name, port in zip(PODS, ports, strict=True):
            arguments = ("loadtest.sample", "--host", "127.0.0.1", "--port", str(port), "--work-ms", "2")
            await stack.enter_async_context(program(*arguments, log=folder / f"{name}.log"))
        file = folder / "objects.yaml"
        file.write_text(yaml.safe_dump_all(objects(ports, target)))
        adapter = Adapter(folder / "credentials", free_port())
        streams = {pod: Stream("127.0.0.1", port) for pod, port in zip(PODS, ports, strict=True)}
        for number, stream in enumerate(streams.values()):
            task = asyncio.create_task(drive(stream, seed=number))
            stack.callback(task.cancel)
        with console.status("starting the adapter and three services"):
            await stack.enter_async_context(adapter.running(file, scrape=SCRAPE, log=folder / "adapter.log"))
        console.print(hints(adapter), highlight=False, soft_wrap=True)
        console.print(f"The adapter scrapes every {SCRAPE}. Ctrl-C ends everything.\n", highlight=False)
        await _show(adapter, streams, seconds, target, console)


async def _show(
    adapter: Adapter, streams: Mapping[str, Stream], seconds: float | None, target: int, console: Console
) -> None:
    meters = {pod: Meter(stream) for pod, stream in streams.items()}
    started, history = time.monotonic(), History()
    served: dict[str, Served] = {}
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        while seconds is None or time.monotonic() - started < seconds:
            elapsed = time.monotonic() - started
            for number, stream in enumerate(streams.values()):
                stream.rate = arrivals(number, elapsed)
            with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
                served = await adapter.fetch_values()
            explanation, history = decide_as_hpa(served, target, history)
            sent = {pod: meter.rate(time.monotonic()) for pod, meter in meters.items()}
            says = Text(f"An HPA with target {target}/s per pod, 1 to 10 replicas, {len(PODS)} now: {explanation}")
            live.update(Group(table(sent, served), says))
            await asyncio.sleep(1)
    if not served:
        raise SystemExit("the adapter served no value at all")


async def _main(seconds: float | None, target: int) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await demonstrate(seconds, target, Console(width=None if os.isatty(1) else 120))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    parser.add_argument("--target", type=int, default=20, help="the HPA's target, requests/s per pod")
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.seconds, arguments.target))


if __name__ == "__main__":
    main()
