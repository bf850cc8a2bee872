"""The console in a real browser, Debian's chromium: no cluster, but a package that `make test` does without."""

import asyncio

import pytest

from loadtest.browser import dom
from loadtest.console_pictures import served, shown, try_out
from tests.cluster.packages import ensure


@pytest.fixture(scope="module")
def browser() -> str:
    return str(ensure(["chromium"])["chromium"])


def test_no_script_that_is_a_name_in_the_cluster_runs(browser: str) -> None:
    asyncio.run(try_out(browser))


def test_the_page_of_the_hpas_shows_each_with_its_metric_and_why_it_does_not_scale(browser: str) -> None:
    async def opened() -> str:
        async with served(shown()) as address:
            return await asyncio.to_thread(dom, browser, address("/"))

    page = asyncio.run(opened())
    for said in ("checkout", "queue_depth", "http_requests", "no metrics returned", "<svg"):
        assert said in page
