"""A look-up of more series than can be listed: by names and labels, whatever of the API the server knows."""

import asyncio
import json
import re
import tracemalloc
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from email.utils import formatdate
from io import BytesIO
from typing import Any

import pytest
from aiohttp import web
from aiohttp.web_request import Request
from aiohttp.web_response import Response

from adapter.metrics.prometheus.discovery import EXAMPLE, having
from adapter.metrics.source import Discovery, SourceError, UnsupportedQuery
from tests.metrics.test_prometheus_source import AT, Fake, asking, serving

CONTAINER = '{__name__=~"^container_.*",pod!=""}'


DATE = {"Date": formatdate(AT, usegmt=True)}


class Server:
    """The part of Prometheus' API that tells of series; it may not know `limit`, nor label names and values."""

    def __init__(self, series: Sequence[Mapping[str, str]], *, limits: bool = True, knows_labels: bool = True) -> None:
        self.series = series
        self.limits = limits
        self.knows_labels = knows_labels

    async def __call__(self, request: Request) -> Response:
        form = await request.post() if request.method == "POST" else request.query
        path, series = request.path.removeprefix("/api/v1/"), self._matching(str(form["match[]"]))
        if path == "series":
            return self._respond(form, series)
        if not self.knows_labels:
            return web.Response(status=404)
        if path == "labels":
            return self._respond({}, sorted({label for labels in series for label in labels}))
        assert (request.method, path) == ("GET", "label/__name__/values")
        return self._respond(form, sorted({labels["__name__"] for labels in series}))

    def _matching(self, selector: str) -> Sequence[Mapping[str, str]]:
        """By its matchers `=` and `!=`; expressions match all."""
        wanted = re.findall(r'(\w+)(!?=)"([^"]*)"', selector)
        return [
            labels
            for labels in self.series
            if all((labels.get(label, "") == value) == (operator == "=") for label, operator, value in wanted)
        ]

    def _respond(self, form: Mapping[str, Any], data: Sequence[Any]) -> Response:
        most = int(form["limit"]) if self.limits and "limit" in form else len(data)
        return web.Response(
            body=BytesIO(json.dumps({"status": "success", "data": list(data[:most])}).encode()), headers=DATE
        )


def many(count: int) -> list[dict[str, str]]:
    """Series of 20 names, half of which have a node; each with a label that no rule asks for."""
    return [
        {
            "__name__": f"container_{number % 20:02d}",
            "namespace": "shop",
            "pod": f"web-{number}",
            "id": f"/kube/{number}",
        }
        | ({"node": "n1"} if number % 2 else {})
        for number in range(count)
    ]


WHOLE = [
    {"__name__": f"container_{number:02d}", "namespace": EXAMPLE, "pod": EXAMPLE}
    | ({"node": EXAMPLE} if number % 2 else {})
    for number in range(20)
]


def is_wanted(label: str) -> bool:
    return label in ("namespace", "pod", "node", "absent")


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with serving() as fake:
        yield fake


def paths(fake: Fake) -> list[str]:
    return [path.removeprefix("/api/v1/") for _, path, _, _ in fake.seen]


async def test_as_many_series_as_are_listed_are_listed(fake: Fake) -> None:
    fake.answer = Server(many(40))
    async with asking(fake.url, max_series=40) as source:
        assert (await source.discover(CONTAINER, AT - 60, AT, is_wanted)) == Discovery(many(40))
    assert paths(fake) == ["series"]


@pytest.mark.parametrize("limits", [True, False])
async def test_of_more_their_names_and_the_labels_of_interest_are_told(fake: Fake, limits: bool) -> None:
    """5 calls for any number of series, and no more lists of them for an hour."""
    fake.answer = Server(many(41), limits=limits)
    async with asking(fake.url, max_series=40) as source:
        discovery = await source.discover(CONTAINER, AT - 60, AT, is_wanted)
        assert (await source.discover(CONTAINER, AT - 60, AT, is_wanted)) == discovery
    assert sorted(discovery.label_sets, key=lambda labels: labels["__name__"]) == WHOLE
    assert (discovery.by_name, discovery.left_out) == (True, "")
    calls = ["label/__name__/values", "labels", *3 * ["label/__name__/values"]]
    assert paths(fake) == ["series", *calls, *calls]


def own(namespace: str, count: int, name: str = "container_00") -> list[dict[str, str]]:
    """Series of names that only this namespace has, each with a node but the first."""
    labels = {"namespace": namespace, "pod": "web"}
    return [{"__name__": f"{name}_{number}", **labels} | ({"node": "n1"} if number else {}) for number in range(count)]


async def test_a_part_is_found_whatever_names_others_have(fake: Fake) -> None:
    """100 names are before it in the alphabet, and 15 are looked at; two parts have 7 of them each, or 50."""
    fake.answer = Server([*own("evil", 100), *own("shop", 2, "z"), *own("shop", 1, "y")])
    parts = [("namespace", "nobody"), ("namespace", "shop")]
    async with asking(fake.url, max_series=10, max_names=15) as source:
        discovery = await source.discover(CONTAINER, AT - 60, AT, is_wanted, parts)
    names = {labels["__name__"]: labels for labels in discovery.label_sets}
    assert len(names) == 15 + 3
    assert names["z_0"] == {"__name__": "z_0", "namespace": EXAMPLE, "pod": EXAMPLE}
    assert names["z_1"] == {"__name__": "z_1", "namespace": EXAMPLE, "pod": EXAMPLE, "node": EXAMPLE}
    assert discovery.by_name
    assert discovery.left_out == (
        "more than the first 15 names of series (--discovery-max-names) and the first 50 of each namespace with HPAs"
    )


@pytest.mark.parametrize("limits", [True, False])
async def test_a_part_has_its_share_and_no_more(fake: Fake, limits: bool) -> None:
    """Of 300 names 120 are looked at, of each of the two parts 60: the greedy one has its first, the other its own."""
    fake.answer = Server([*own("evil", 100), *own("greedy", 198, "x"), *own("shop", 2, "z")], limits=limits)
    parts = [("namespace", "greedy"), ("namespace", "shop")]
    async with asking(fake.url, max_series=10, max_names=120) as source:
        discovery = await source.discover(CONTAINER, AT - 60, AT, is_wanted, parts)
    names = {labels["__name__"] for labels in discovery.label_sets}
    assert {"z_0", "z_1"} <= names
    assert len(names & {labels["__name__"] for labels in own("greedy", 198, "x")}) == 60
    assert len(names) <= 120 + 2 * 60


async def test_where_all_names_are_looked_at_no_part_is_asked_for(fake: Fake) -> None:
    fake.answer = Server(many(41))
    async with asking(fake.url, max_series=40) as source:
        discovery = await source.discover(CONTAINER, AT - 60, AT, is_wanted, [("namespace", "shop")])
    assert sorted(discovery.label_sets, key=lambda labels: labels["__name__"]) == WHOLE
    assert not any("shop" in str(seen) for seen in fake.seen)


async def test_names_beyond_the_limit_are_left_out_and_said(fake: Fake) -> None:
    fake.answer = Server(many(100))
    async with asking(fake.url, max_series=10, max_names=15) as source:
        discovery = await source.discover(CONTAINER, AT - 60, AT, is_wanted)
    assert len(discovery.label_sets) == 15
    assert discovery.left_out == "more than the first 15 names of series (--discovery-max-names)"


async def test_where_labels_cannot_be_looked_up_the_first_series_serve_and_the_rest_is_said(fake: Fake) -> None:
    fake.answer = Server(many(100), knows_labels=False)
    async with asking(fake.url, max_series=10) as source:
        discovery = await source.discover(CONTAINER, AT - 60, AT, is_wanted)
    assert discovery.label_sets == many(100)[:10]
    assert discovery.left_out.startswith(
        "more than the first 10 series (their names cannot be looked up: Prometheus did not"
    )


async def test_a_list_that_is_too_long_is_not_read_to_its_end(fake: Fake) -> None:
    """230,000 series of 115 bytes are 27 MB; of a list of 1,001 at most 2 MiB are read, and nothing of it is kept."""
    server = Server(many(2000), limits=False)

    async def answer(request: Request) -> web.StreamResponse:
        if not request.path.endswith("/series"):
            return await server(request)
        response = web.StreamResponse(headers=DATE)
        await response.prepare(request)
        with suppress(ConnectionError):
            await response.write(b'{"status":"success","data":[')
            for _ in range(27):
                await response.write(b'{"__name__":"container_00","pod":"web"},' * 25_000)
        return response

    fake.answer = answer
    async with asking(fake.url, max_series=1000) as source:
        tracemalloc.start()
        discovery = await source.discover(CONTAINER, AT - 60, AT, is_wanted)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len(discovery.label_sets) == 20
    assert used < 16 * 2**20


async def test_of_a_server_that_knows_neither_limit_nor_labels_the_first_series_serve(fake: Fake) -> None:
    """Its 10 MB are not read on after the first piece, which has more than 10."""
    server = Server(many(100_000), limits=False, knows_labels=False)
    fake.answer = server
    async with asking(fake.url, max_series=10) as source:
        discovery = await source.discover(CONTAINER, AT - 60, AT, is_wanted)
    assert discovery.label_sets == many(10)
    assert discovery.left_out.startswith("more than the first 10 series (their names cannot be looked up: ")


async def test_where_the_list_does_not_come_in_time_the_names_may(fake: Fake) -> None:
    server = Server(many(2000))

    async def answer(request: Request) -> Response:
        if request.path.endswith("/series"):
            await asyncio.sleep(1)
        return await server(request)

    fake.answer = answer
    async with asking(fake.url, max_series=10, timeout_s=0.3) as source:
        discovery = await source.discover(CONTAINER, AT - 60, AT, is_wanted)
        assert (len(discovery.label_sets), discovery.by_name) == (20, True)


async def test_a_server_that_is_away_is_named_by_its_first_failure(fake: Fake) -> None:
    fake.answer = lambda request: web.Response(status=503 if request.path.endswith("series") else 500)
    async with asking(fake.url) as source:
        with pytest.raises(SourceError, match="answered 503"):
            await source.discover(CONTAINER, AT - 60, AT, is_wanted)


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("up", 'up{pod!=""}'),
        ('{__name__=~"^a.*",b!="c"}', '{__name__=~"^a.*",b!="c",pod!=""}'),
        (r'x{y=~"a\\d|\"",pod="z"}', r'x{y=~"a\\d|\"",pod="z",pod!=""}'),
    ],
)
def test_a_selector_gets_one_more_matcher(selector: str, selected: str) -> None:
    assert having(selector, "pod") == selected


@pytest.mark.parametrize("text", ["sum(x)", "rate(x[1m])", "x[1m]", "1"])
def test_what_is_no_selector_gets_none(text: str) -> None:
    with pytest.raises(UnsupportedQuery, match="is no series selector"):
        having(text, "pod")
