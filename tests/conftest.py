"""What holds for all tests."""

import asyncio
import gc
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Without this, pytest-asyncio asks Python 3.11 for "the" loop where none is, which makes one that nobody closes.
asyncio.set_event_loop(None)

# No test asserts times. In a fresh clone the first text drawn builds Hypothesis' tables of characters, for a second or
# two, and on a loaded machine any example may be slow.
# Each run draws new examples, but where a submission is judged: what was green is to be green there (`.ci/run`).
settings.register_profile(
    "streamgate",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("STREAMGATE_SAME_EXAMPLES")),
)
settings.load_profile("streamgate")


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end; without this each full collection of garbage looks through all of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def ordinary_logs() -> Iterator[None]:
    """A program that a test runs sets its logs up; the next test's are as they were."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
