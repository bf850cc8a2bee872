"""`make run`: three sample services, a gentle and changing load, and the adapter without a cluster, all on loopback.

Shows what each pod's rate is, as the custom metrics API serves it over TLS, and what an HPA would make of it.
"""

import argparse
import asyncio
import contextlib
import math
import os
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

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
from adapter.units.quantity import Quantity
from loadtest.load import Stream, drive

METRIC = "http_requests_per_second"
PODS = ("sample-0", "sample-1", "sample-2")
PATH = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/{METRIC}?labelSelector=app%3Dsample"
SCRAPE = "2s"


class Served(NamedTuple):
    """What the adapter says of one pod."""

    rate: Quantity
    time: float
    window: float | None


def arrivals(pod: int, seconds: float) -> float:
    """The load on a pod, requests/s: a slow wave, each pod at its own phase, and a doubling for 30 s of each 90."""
    wave = 12 + 6 * math.sin(2 * math.pi * (seconds / 60 + pod / 3))
    return wave * (2 if seconds % 90 >= 45 and seconds % 90 < 75 else 1)


def free_port() -> int:
    """A port of loopback that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def objects(ports: Sequence[int], target: int) -> list[Mapping[str, object]]:
    """The pods and the HPA, as a cluster would describe them."""
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "default",
                "labels": {"app": "sample"},
                "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)},
            },
            "status": {"phase": "Running", "podIP": "127.0.0.1"},
        }
        for name, port in zip(PODS, ports, strict=True)
    ]
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
    return [*pods, hpa]


@asynccontextmanager
async def program(*arguments: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program of ours that ends with the block: asked first, killed after 5 s."""
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()


class Adapter:
    """The running adapter, spoken to as kubectl would."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"https://127.0.0.1:{port}"
        self.folder = folder

    async def ready(self, process: asyncio.subprocess.Process, log: Path) -> None:
        """Wait until /readyz says so; SystemExit with its log where it ends or takes over 30 s."""
        for _ in range(150):
            if process.returncode is not None:
                break
            with contextlib.suppress(OSError, aiohttp.ClientError):
                async with self._session() as session, session.get(f"{self.url}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.2)
        raise SystemExit(f"the adapter did not become ready; its log:\n{log.read_text()[-4000:]}")  # noqa: ASYNC240

    async def served(self) -> dict[str, Served]:
        """What it serves for each pod."""
        async with self._session() as session, session.get(self.url + PATH) as answer:
            body: dict[str, Any] = await answer.json()
        return {
            item["describedObject"]["name"]: Served(
                Quantity.parse(item["value"]),
                datetime.fromisoformat(item["timestamp"]).timestamp(),
                item.get("windowSeconds"),
            )
            for item in body.get("items", ())
        }

    def _session(self) -> aiohttp.ClientSession:
        tls = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        tls.load_cert_chain(self.folder / "client.crt", self.folder / "client.key")
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), timeout=aiohttp.ClientTimeout(total=5))


def wanted(served: Mapping[str, Served], target: int, history: History) -> tuple[str, History]:
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
        process = await stack.enter_async_context(
            program(
                "adapter",
                f"--standalone={file}",
                f"--secure-port={adapter.url.rpartition(':')[2]}",
                "--bind-address=127.0.0.1",
                f"--cert-dir={adapter.folder}",
                f"--scrape-interval={SCRAPE}",
                "--otlp-grpc-port=0",
                "--otlp-http-port=0",
                log=folder / "adapter.log",
            )
        )
        streams = {pod: Stream("127.0.0.1", port) for pod, port in zip(PODS, ports, strict=True)}
        for number, stream in enumerate(streams.values()):
            task = asyncio.create_task(drive(stream, seed=number))
            stack.callback(task.cancel)
        with console.status("starting the adapter and three services"):
            await adapter.ready(process, folder / "adapter.log")
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
                served = await adapter.served()
            explanation, history = wanted(served, target, history)
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
