"""The adapter without a cluster, and programs of ours, on loopback: what `make run` and local load runs are made of."""

import asyncio
import contextlib
import secrets
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from adapter.units.quantity import Quantity

METRIC = "http_requests_per_second"
PATH = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/{METRIC}?labelSelector=app%3Dsample"


class Served(NamedTuple):
    """What the adapter says of one pod."""

    rate: Quantity
    time: float
    window: float | None


def free_port() -> int:
    """A port of loopback that nobody has just now, and that no connection is given as its own."""
    while True:
        port = secrets.randbelow(12_000) + 20_000
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def sample_pod(name: str, port: int) -> Mapping[str, object]:
    """A pod of the sample service that listens on a port of loopback, as a cluster would describe it."""
    return {
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

    @asynccontextmanager
    async def running(self, objects: Path, *, scrape: str, log: Path, more: Sequence[str] = ()) -> AsyncIterator[None]:
        """It serves what the file `objects` holds, with `more` flags; SystemExit with its log where it is not ready."""
        flags = (
            f"--standalone={objects}",
            f"--secure-port={self.url.rpartition(':')[2]}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.folder}",
            f"--scrape-interval={scrape}",
            "--otlp-grpc-port=0",
            "--otlp-http-port=0",
            *more,
        )
        async with program("adapter", *flags, log=log) as process:
            await self._ready(process, log)
            yield

    async def _ready(self, process: asyncio.subprocess.Process, log: Path) -> None:
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

    async def fetch_values(self) -> dict[str, Served]:
        """Ask the adapter for its values, by pod."""
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
