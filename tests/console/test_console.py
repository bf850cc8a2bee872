"""The program from end to end: an API server, the lists, the port, and a client that is a browser's double."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from adapter import __version__
from adapter.console.__main__ import hosts, main, read_token, serve, start_lines
from adapter.console.objects import WORKLOADS
from adapter.console.settings import FLAGS, Settings, is_loopback
from adapter.kube.fake.server import FakeCluster
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.program.flags import SettingsError
from adapter.program.run import StartError
from adapter.rollout.model.policy import POLICIES
from recommender.objects import VPAS
from tests.console.conftest import STEPPING, cpu, hpa_json, policy_json, vpa_json, workload_json
from tests.console.test_markup import Read
from tests.kubeconfig import kubeconfig

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster() as made:
        await made.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("web", cpu(60, 90)))
        await made.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json("job", cpu(60, 61), namespace="lab"))
        await made.put(POLICIES, policy_json(status=STEPPING))
        await made.put(VPAS, vpa_json())
        await made.put(WORKLOADS["Deployment"], workload_json())
        yield made


class Browser:
    """Keeps its cookie, and does not follow where it is sent unless told to."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url
        parts = urlsplit(url)
        self.origin = f"{parts.scheme}://{parts.netloc}"

    async def get(self, path: str, *, method: str = "GET", follow: bool = True, **headers: str) -> tuple[int, str, Any]:
        address = path if path.startswith("http") else self.origin + path
        async with self._session.request(method, address, headers=headers, allow_redirects=follow) as answer:
            return answer.status, await answer.text(), answer.headers

    async def words(self, path: str) -> str:
        _, text, _ = await self.get(path)
        return " ".join("".join(Read(text).words).split())

    async def until(self, path: str, *wanted: str, but: str = "\n") -> str:
        """The words of the page, once all of `wanted` are among them, and `but` is not."""
        text = ""
        for _ in range(1500):
            text = await self.words(path)
            if all(word in text for word in wanted) and but not in text:
                return text
            await asyncio.sleep(0.02)
        raise AssertionError(f"{wanted} are not all in: {text}")


@asynccontextmanager
async def running(
    cluster: FakeCluster, folder: Path, capsys: pytest.CaptureFixture[str], *flags: str
) -> AsyncIterator[Browser]:
    """The console on a port of its own, and a browser with its URL."""
    given = [f"--kubeconfig={kubeconfig(folder, cluster.url)}", "--address=127.0.0.1:0", "--refresh=1", *flags]
    stop = asyncio.Event()
    task = asyncio.create_task(serve(FLAGS.parse(given).settings, stop))
    url = ""
    async with asyncio.timeout(10):
        while not url:
            await asyncio.sleep(0.01)
            assert not task.done(), task.exception()
            url = next((line for line in capsys.readouterr().out.splitlines() if line.startswith("http")), "")
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address
    try:
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield Browser(session, url)
    finally:
        stop.set()
        await task


async def test_a_person_opens_the_url_and_sees_what_there_is(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(cluster, tmp_path, capsys) as browser:
        status, _, headers = await browser.get(browser.url, follow=False)
        assert (status, headers["Location"]) == (303, "/")
        assert "90 %" in await browser.until("/", "web", "job", "its metrics ask for 6 replicas")
        await browser.until("/releases", "Stepping", "step 2 of 3", "RolledBack")
        await browser.until("/recommendations", "→ 200 m", "mode Off")
        assert "job" not in await browser.words("/?ns=shop")
        assert "web" in await browser.words("/?q=WEB")


async def test_it_only_reads_one_list_of_each_kind_and_pods_are_not_among_them(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(cluster, tmp_path, capsys, "--refresh=300") as browser:
        await browser.get(browser.url)
        for _ in range(5):  # looking asks for nothing
            await browser.until("/recommendations", "→ 200 m")
    assert {method for method, _ in cluster.requests} == {"GET"}
    paths = [path.partition("?")[0] for _, path in cluster.requests]
    assert sorted(path for path in paths if "/apps/" not in path) == [
        "/apis/autoscaling.k8s.io/v1/verticalpodautoscalers",
        "/apis/autoscaling/v2/horizontalpodautoscalers",
        "/apis/streamgate.io/v1alpha1/rolloutpolicies",
    ]


async def test_without_token_or_cookie_or_by_another_name_there_is_nothing_to_see(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(cluster, tmp_path, capsys) as browser:
        for path in ("/", "/releases", "/console.js", "/nothing", "/?token=wrong"):
            status, text, _ = await browser.get(path)
            assert (status, "token" in text) == (403, True)
        await browser.get(browser.url)
        assert (await browser.get("/"))[0] == 200
        assert (await browser.get("/", Host="evil.example"))[0] == 421
        assert (await browser.get("/healthz", Host="10.0.0.7:8950"))[:2] == (200, "OK\n")
        for method in ("POST", "PUT", "DELETE", "HEAD"):
            assert (await browser.get("/", method=method))[0] == 405
        assert (await browser.get("/nothing"))[0] == 404


async def test_every_answer_bounds_what_a_browser_does_with_it(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(cluster, tmp_path, capsys) as browser:
        for path in ("/", browser.url, "/releases", "/console.css", "/console.js", "/nothing", "/healthz"):
            _, _, headers = await browser.get(path, follow=False)
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            assert "frame-ancestors 'none'" in policy
            assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
            assert headers["X-Content-Type-Options"] == "nosniff"


async def test_what_one_may_not_read_is_named_and_the_rest_works(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.forbid("/apis/streamgate.io")
    cluster.forbid("/apis/apps/v1/deployments")
    async with running(cluster, tmp_path, capsys) as browser:
        await browser.get(browser.url)
        await browser.until("/releases", "you may not list rolloutpolicies.streamgate.io.")
        await browser.until("/recommendations", "you may not list deployments.apps.", "– → 200 m")
        await browser.until("/", "90 %")


async def test_objects_that_cannot_be_read_are_counted_and_the_first_is_named(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("odd", "strange"):
        await cluster.put(HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": name, "namespace": "shop"}, "spec": 7})
    await cluster.put(VPAS, {"metadata": {"name": "odd", "namespace": "shop"}, "spec": {"updatePolicy": "x"}})
    async with running(cluster, tmp_path, capsys) as browser:
        await browser.get(browser.url)
        text = await browser.until("/", "90 %", "2 of horizontalpodautoscalers.autoscaling cannot be read", "shop/odd")
        assert "verticalpodautoscalers" not in text
        one = "1 of verticalpodautoscalers.autoscaling.k8s.io cannot be read and is not shown shop/odd: "
        await browser.until("/recommendations", one)


async def test_of_namespaces_only_these_are_asked_for(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.forbid(HORIZONTAL_POD_AUTOSCALERS.path("lab"))
    async with running(cluster, tmp_path, capsys, "-n", "shop,lab") as browser:
        await browser.get(browser.url)
        await browser.until("/", "you may not list horizontalpodautoscalers.autoscaling in namespace lab.", "90 %")
    assert not [path for _, path in cluster.requests if path.startswith(f"{HORIZONTAL_POD_AUTOSCALERS.path()}?")]


async def test_an_api_server_that_goes_away_leaves_the_last_values_and_comes_back(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(cluster, tmp_path, capsys) as browser:
        await browser.get(browser.url)
        await browser.until("/", "90 %")
        await cluster.stop()
        old = await browser.until("/", "cannot be read since", "what is shown is old")
        assert "90 %" in old
        await cluster.start()
        await browser.until("/", "90 %", but="cannot be read")


async def test_hostile_names_from_an_api_server_are_shown_as_text(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "<script>alert(1)</script>\"'\n\u202e"
    await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json(name, cpu(60, 90)))
    await cluster.put(POLICIES, policy_json(name, status={"phase": "Idle", "message": name}))
    await cluster.put(VPAS, vpa_json(name))
    async with running(cluster, tmp_path, capsys) as browser:
        await browser.get(browser.url)
        for path in ("/", "/releases", "/recommendations"):
            await browser.until(path, "<script>alert(1)</script>\"' \ufffd")
            _, text, _ = await browser.get(path)
            assert [attributes for tag, attributes in Read(text).elements if tag == "script"] == [
                {"src": "/console.js", "defer": None}
            ]


async def test_a_thousand_hpas_are_three_calls_and_fifty_rows(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1000):
        await cluster.put(HORIZONTAL_POD_AUTOSCALERS, hpa_json(f"web-{number:04}", cpu(60, 90), namespace="big"))
    async with running(cluster, tmp_path, capsys, "--refresh=300") as browser:
        await browser.get(browser.url)
        await browser.until("/?ns=big", "page 1 of 20", "web-0049")
        _, text, _ = await browser.get("/?ns=big")
    assert sum(tag == "tr" for tag, _ in Read(text).elements) == 51  # with its head
    asked = [path for _, path in cluster.requests if path.startswith(HORIZONTAL_POD_AUTOSCALERS.path())]
    assert len(asked) == 3  # 500, 500 and 2
    assert all("limit=500" in path for path in asked)


# ---- the program


def test_its_help_is_the_golden_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == (TOP / "tests/golden/console/help.txt").read_text()


def test_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"streamgate-console {__version__}\n"


@pytest.mark.parametrize("address", [":8950", "0.0.0.0:8950", "[::]:8950", "10.0.0.1:80", "example.com:80"])
def test_where_others_can_reach_it_a_token_of_ones_own_is_wanted(address: str) -> None:
    with pytest.raises(SettingsError, match="--token-file is wanted too"):
        FLAGS.parse([f"--address={address}"])
    FLAGS.parse([f"--address={address}", "--token-file=/t"])


def test_loopback_is_this_machine_alone() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("", "0.0.0.0", "::", "localhost.example.com")] == [False] * 4


@pytest.mark.parametrize("name", ["http://console.example.com", "console.example.com:443", "a/b", "", "a b"])
def test_a_host_is_a_name_alone(name: str) -> None:
    with pytest.raises(SettingsError, match="without scheme and port"):
        FLAGS.validate(replace(settings_of(), allowed_hosts=(name,)))


def test_it_may_be_asked_by_the_address_that_it_listens_on() -> None:
    assert hosts(settings_of("--address=127.0.0.2:0", "--allowed-hosts=a.example")) == ("a.example", "127.0.0.2")
    assert hosts(settings_of("--address=[::1]:0")) == ("[::1]",)
    assert hosts(settings_of("--address=:80", "--token-file=/t")) == ()


def test_too_many_namespaces_are_refused() -> None:
    with pytest.raises(SettingsError, match="51 namespaces; at most 50"):
        FLAGS.parse([f"-n=n{number}" for number in range(51)])


def test_a_token_of_ones_own_is_read_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a" * 64 + "\n")
    assert read_token(str(file)) == "a" * 64
    settings = FLAGS.parse([f"--token-file={file}"]).settings
    (line,) = start_lines(settings, 8950, "")
    assert line == f"http://127.0.0.1:8950/?token=… with the token of {file}"


@pytest.mark.parametrize("text", ["", "short", "é" * 40, "a" * 20 + " " + "a" * 20, "a" * 2000])
def test_a_token_that_could_be_guessed_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(StartError, match="32 to 1024 characters of ASCII"):
        read_token(str(file))


def test_a_token_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"cannot be read: No such file"):
        read_token(str(tmp_path / "none"))


def test_without_credentials_or_with_a_port_that_is_taken_it_says_so_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"--kubeconfig={tmp_path / 'none'}"]) == 1
    file = kubeconfig(tmp_path, "http://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main([f"--kubeconfig={file}", f"--address=127.0.0.1:{taken.getsockname()[1]}"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("there is no such file")
    assert "cannot listen: " in second


def settings_of(*flags: str) -> Settings:
    return FLAGS.parse(list(flags)).settings


def test_the_url_of_an_ipv6_address_has_brackets() -> None:
    assert start_lines(settings_of("--address=[::1]:0"), 8951, "t") == ["http://[::1]:8951/?token=t"]


def test_settings_come_back_from_their_flags() -> None:
    given = settings_of("-n", "a,b", "-n=c", "--refresh=10s", "--history=30m", "--allowed-hosts=x.example")
    assert FLAGS.parse(FLAGS.render(given)).settings == given
    assert given.namespaces == ("a", "b", "c")
