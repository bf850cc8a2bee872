"""Shared by the recommender's tests: golden data and small builders."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

GOLDEN = Path(__file__).parent.parent / "golden" / "recommender"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The command line configures logging for the whole process; the next test begins without that."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden data."""
    return GOLDEN


@pytest.fixture(scope="session")
def reference() -> dict[str, Any]:
    """VPA's own results by trace and container."""
    return json.loads((GOLDEN / "vpa-reference.json").read_text())


@pytest.fixture
def ones() -> Any:
    """For n containers, each alone in its pod."""
    return lambda count: np.ones(count, dtype=np.int64)
