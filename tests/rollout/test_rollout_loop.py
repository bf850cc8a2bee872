"""The program against the API server on loopback: informers wake it, one of two leads, verbs ask and show."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from structlog.testing import capture_logs

from adapter.kube.fake.server import FakeCluster, notify
from adapter.kube.resources import LEASES, PODS
from adapter.rollout.__main__ import main
from adapter.rollout.decide.idle import HINT
from adapter.rollout.loop import SHORTEST, SHORTEST_CALM, Waits, waits
from adapter.rollout.model.actions import DEPLOYMENTS, ENDPOINT_SLICES, EVENTS, REPLICA_SETS, SERVICES
from adapter.rollout.model.policy import POLICIES
from adapter.rollout.serve import serve
from adapter.rollout.settings import parse
from adapter.rollout.turns import CALM, Turned
from tests.rollout.objects import clone
from tests.rollout.shop import Shop

SWIFT = ["--address=127.0.0.1:0", "--leader-elect-lease-duration=1s", "--leader-elect-renew-deadline=700ms"]
SWIFT += ["--leader-elect-retry-period=100ms", "--kube-api-qps=1000", "--kube-api-burst=1000"]
QUICK: dict[str, Any] = {"blueGreen": {"previewSeconds": 0, "verifySeconds": 1}}


@pytest.mark.parametrize(
    ("turned", "took", "expected"),
    [
        (Turned(1.0), 0.25, Waits(SHORTEST, 0.75)),
        (Turned(1.0), 3.0, Waits(SHORTEST, SHORTEST)),
        (Turned(0.0), 3.0, Waits(0.0, 0.0)),
        (Turned(CALM), 0.5, Waits(SHORTEST_CALM, CALM - 0.5)),
        (Turned(0.4, rest=7.0), 0.25, Waits(7.0, 7.0)),
    ],
    ids=["due a second after its begin", "slow", "at once", "calm", "refused for 7 s"],
)
def test_the_next_turn_counts_from_the_begin_of_this_one_and_a_refusals_pause_from_its_end(
    turned: Turned, took: float, expected: Waits
) -> None:
    assert waits(turned, took=took) == expected


async def eventually(true: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never became true"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def living(spec: dict[str, Any]) -> AsyncIterator[Shop]:
    """A shop behind a server, whose controllers look thirty times a second and tell watchers."""
    shop = Shop({**spec, "settleSeconds": 0})
    shop.simulator.boot, shop.simulator.grace = 1, 1

    async def live() -> None:
        while True:
            shop.simulator.step()
            for resource in (POLICIES, DEPLOYMENTS, REPLICA_SETS, SERVICES, ENDPOINT_SLICES, PODS):
                await notify(shop.cluster.store.collection(resource.group, resource.plural))
            await asyncio.sleep(1 / 30)

    async with shop.cluster:
        task = asyncio.create_task(live())
        try:
            yield shop
        finally:
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def serving(cluster: FakeCluster, *flags: str) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(serve(parse([*SWIFT, *flags]), cluster.connection, stop))
    try:
        yield task
    finally:
        stop.set()
        await task


async def test_a_release_runs_by_itself() -> None:
    async with living(QUICK) as shop, serving(shop.cluster):
        await eventually(lambda: is_taken_over(shop))
        shop.release("web:2")
        await eventually(lambda: shop.outcomes == ["Promoted"])
        shop.clean("web:2")
        told = {"TakenOver", "Released", "Switched", "Promoted"}
        await eventually(lambda: told <= {event["reason"] for event in shop.all(EVENTS)})
    lease = shop.cluster.get(LEASES, "streamgate-rollout", "streamgate-rollout")
    assert lease["spec"]["holderIdentity"] == ""  # given back


def is_taken_over(shop: Shop) -> bool:
    """Whether the policy is idle and its Deployment paused: an edit before that would roll by itself."""
    return shop.phase == "Idle" and bool(shop.get(DEPLOYMENTS)["spec"].get("paused"))


async def test_of_two_one_acts_and_the_other_takes_over() -> None:
    async with living(QUICK) as shop, serving(shop.cluster):
        await eventually(lambda: is_taken_over(shop))
        async with serving(shop.cluster):
            holder = shop.cluster.get(LEASES, "streamgate-rollout", "streamgate-rollout")["spec"]["holderIdentity"]
            shop.release("web:2")
            await eventually(lambda: shop.outcomes == ["Promoted"])
            assert holder


async def test_a_leader_whose_lease_is_taken_in_mid_phase_acts_no_more_until_it_leads_again() -> None:
    """The phase would be left after 3 s; somebody else holds the lease for 5."""
    async with living({"blueGreen": {"previewSeconds": 0, "verifySeconds": 3}}) as shop, serving(shop.cluster):
        await eventually(lambda: is_taken_over(shop))
        shop.release("web:2")
        await eventually(lambda: shop.phase == "Verifying")
        leases = shop.cluster.store.collection(LEASES.group, LEASES.plural)
        for number in range(50):
            (lease,) = [clone(each) for each in leases.objects.values()]
            lease["spec"] |= {"holderIdentity": "another", "renewTime": f"2026-11-26T08:00:00.{number:06d}Z"}
            leases.put(lease)
            await asyncio.sleep(0.1)
        assert shop.phase == "Verifying"
        assert shop.outcomes == []
        await eventually(lambda: shop.outcomes == ["Promoted"])
        shop.clean("web:2")


async def test_a_policy_that_fails_delays_no_other() -> None:
    async with living(QUICK) as shop:
        broken = {"metadata": {"name": "broken", "namespace": "shop"}, "spec": {"targetRef": "no object"}}
        shop.put(POLICIES, broken)
        async with serving(shop.cluster):
            await eventually(lambda: is_taken_over(shop))
            shop.release("web:2")
            await eventually(lambda: shop.outcomes == ["Promoted"])


async def test_lines_of_a_turn_name_the_policy_that_it_is_of() -> None:
    async with living(QUICK) as shop, serving(shop.cluster):
        with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
            await eventually(lambda: is_taken_over(shop))
            await eventually(lambda: any(line["event"] == "written" for line in logs))
        written = [line for line in logs if line["event"] == "written"]
        assert {(line["namespace"], line["policy"]) for line in written} == {("shop", "web")}


# ---- verbs


@pytest.fixture
async def verb(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Any]:
    """Runs a verb in a thread of its own, as it brings its own event loop."""

    async def call(shop: Shop, *arguments: str) -> tuple[int, str]:
        config = tmp_path / "config"
        context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}
        config.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "contexts": [context],
                    "clusters": [{"name": "c", "cluster": {"server": shop.cluster.url}}],
                    "users": [{"name": "u", "user": {}}],
                }
            )
        )
        capsys.readouterr()
        code = await asyncio.to_thread(main, [*arguments, f"--kubeconfig={config}"])
        out, err = capsys.readouterr()
        return code, out + err

    yield call
    structlog.reset_defaults()


async def test_verbs_show_and_ask(verb: Any) -> None:
    spec = {"canary": {"steps": [{"weight": 25, "pauseSeconds": 0, "manual": True}]}}
    async with living(spec) as shop, serving(shop.cluster):
        await eventually(lambda: is_taken_over(shop))
        code, said = await verb(shop, "status", "web")
        assert code == 0
        assert "phase     Idle" in said
        assert "3 of 3 pods ready" in said
        shop.release("web:2")
        await eventually(lambda: "promote" in shop.status.get("message", ""))
        code, said = await verb(shop, "status", "web")
        assert "step      1 of 1, weight 25 %" in said
        assert "1 of 1 pods ready" in said
        assert (await verb(shop, "wait", "web", "--timeout=0.2"))[0] == 2
        assert (await verb(shop, "promote", "web"))[0] == 0
        assert (await verb(shop, "wait", "web", "--timeout=20"))[0] == 0
        code, said = await verb(shop, "history", "web")
        assert "Promoted" in said
        shop.release("web:3")
        await eventually(lambda: "promote" in shop.status.get("message", ""))
        assert (await verb(shop, "abort", "web"))[0] == 0
        assert (await verb(shop, "wait", "web", "--timeout=20"))[0] == 1
        assert (await verb(shop, "undo", "web"))[0] == 0
        await eventually(lambda: shop.template["spec"]["containers"][0]["image"] == "web:2")


async def test_plan_shows_the_exact_writes_and_makes_none(verb: Any) -> None:
    async with living(QUICK) as shop:
        async with serving(shop.cluster):
            await eventually(lambda: HINT in shop.get(DEPLOYMENTS)["metadata"].get("annotations", {}))
        shop.release("web:2")
        before = len(shop.cluster.requests)
        code, said = await verb(shop, "plan", "web", "--output=json")
        assert code == 0
        writes = json.loads(said)
        assert (writes[0]["write"], writes[0]["phase"]) == ("create controllerrevisions", "Preparing")
        assert (writes[-1]["write"], writes[-1]["phase"]) == ("patch services", "Finishing")
        assert {method for method, _ in list(shop.cluster.requests)[before:]} == {"GET"}
        code, said = await verb(shop, "plan", "web")
        assert (code, len(said.splitlines())) == (0, 1 + 2 * len(writes))


async def test_lint_asks_a_cluster_for_rights_and_neighbours(verb: Any, tmp_path: Any) -> None:
    gate = {"metric": "errors", "total": "requests", "limit": 0.01}
    async with living({**QUICK, "gates": [gate]}) as shop:
        path = tmp_path / "policy.json"
        path.write_text(json.dumps(shop.get(POLICIES) | {"status": {}}))
        assert await verb(shop, "lint", str(path)) == (0, f"{path}: 1 gates, no problem\n")
        shop.cluster.authorize = lambda spec: spec.get("user") != "ann"
        shop.edit(DEPLOYMENTS, lambda raw: raw["spec"].update(strategy={"type": "Recreate"}))
        code, said = await verb(shop, "lint", str(path), "--as=ann", "--as-group=devs")
        assert code == 1
        assert [line.split(",")[0] for line in said.splitlines()] == [
            "user ann may not patch Deployment web in namespace shop",
            "the Deployment's strategy is Recreate: two versions must not run side by side; "
            "set spec.allowParallel: true if they may",
        ]


async def test_uninstall_lets_a_policy_go_whose_controller_is_gone(verb: Any) -> None:
    async with living({"canary": {"steps": [{"weight": 25, "pauseSeconds": 600}]}}) as shop:
        async with serving(shop.cluster):
            await eventually(lambda: is_taken_over(shop))
            shop.release("web:2")
            await eventually(lambda: shop.phase == "Stepping")
        assert await verb(shop, "uninstall", "--dry-run") == (0, "shop/web: would be deleted\n")
        assert await verb(shop, "uninstall", "--policy=other") == (
            0,
            "there is no RolloutPolicy other in namespace shop\n",
        )
        code, said = await verb(shop, "uninstall", "--all-namespaces", "--timeout=40s")
        assert code == 0, said
        assert said.splitlines()[0] == "shop/web: deleted, phase Stepping"
        assert said.splitlines()[-1] == "shop/web: gone"
        deployment = shop.get(DEPLOYMENTS)
        assert not deployment["spec"].get("paused")
        assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "web:1"
        assert await verb(shop, "uninstall", "-A") == (0, "there is no RolloutPolicy\n")


async def test_verbs_say_what_is_wrong_in_a_sentence(verb: Any) -> None:
    async with living(QUICK) as shop:
        code, said = await verb(shop, "status", "nosuch")
        missing = "there is no RolloutPolicy nosuch in namespace shop"
        missing += "; kubectl get rolloutpolicies -n shop lists those there are"
        assert (code, said) == (1, f"streamgate-rollout: {missing}\n")
        code, said = await verb(shop, "promote", "nosuch", "-n", "../etc")
        assert code == 1


async def test_the_turns_of_a_release_are_told_to_a_collector_with_their_writes(tmp_path: Path) -> None:
    messages: list[bytes] = []

    async def take(request: web.BaseRequest) -> web.Response:
        messages.append(await request.read())
        return web.Response()

    runner = web.ServerRunner(web.Server(take), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    file = tmp_path / "tracing.yaml"
    file.write_text(
        "apiVersion: apiserver.config.k8s.io/v1beta1\nkind: TracingConfiguration\nsamplingRatePerMillion: 1000000\n"
        f"endpoint: http://127.0.0.1:{runner.addresses[0][1]}\n"
    )
    async with living(QUICK) as shop, serving(shop.cluster, f"--tracing-config-file={file}"):
        await eventually(lambda: is_taken_over(shop))
    await runner.cleanup()  # by now the end has sent what was left
    batches = [ExportTraceServiceRequest.FromString(message).resource_spans[0] for message in messages]
    assert {"streamgate-rollout"} == {one.resource.attributes[0].value.string_value for one in batches}
    spans = [span for one in batches for span in one.scope_spans[0].spans]
    turns = {one.span_id: one for one in spans if one.name == "turn"}
    (paused,) = [one for one in spans if one.name == "patch deployments"]
    told = {one.key: one.value.string_value for one in turns[paused.parent_span_id].attributes}
    assert told["k8s.namespace.name"] == "shop"
    assert {"observe", "hear", "write status"} <= {one.name for one in spans if one.parent_span_id in turns}
