"""Builders and fixtures for the tests of the Kubernetes client: a fake API server on loopback, and small objects."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from adapter.kube.client import Client
from adapter.kube.fake.server import FakeCluster
from adapter.kube.watch import Pacing

# Without this, pytest-asyncio asks Python 3.11 for "the" loop where none is, which makes one that nobody closes.
asyncio.set_event_loop(None)

SWIFT = Pacing(first=0.01, last=0.05, refused=0.1, silence=5.0, list_silence=5.0, settled=0.2)
"""The patience of tests: what takes seconds in life takes hundredths here."""


def pod(name: str, namespace: str = "default", labels: dict[str, str] | None = None, **meta: Any) -> dict[str, Any]:
    """A pod as the API server shows it."""
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": "web"} if labels is None else labels,
            **meta,
        },
        "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "100m"}}}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }


async def eventually(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Waits until `true()` holds; real sockets need real time, but rarely more than milliseconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never became true"
        await asyncio.sleep(0.005)


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
async def client(cluster: FakeCluster) -> AsyncIterator[Client]:
    async with Client(cluster.connection) as client:
        yield client
