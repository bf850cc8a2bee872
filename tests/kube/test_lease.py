"""Who leads, in virtual time: candidates share one imagined API server that can be cut off from each of them."""

import asyncio
import contextlib
import copy
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from adapter.kube.client import Client
from adapter.kube.errors import AlreadyExists, Conflict, NotFound, Unreachable
from adapter.kube.lease import Election, Terms

pytestmark = pytest.mark.looptime

TERMS = Terms()  # 15 s, 10 s, 2 s; without jitter a try takes place every 2 s


class Server:
    """One Lease, and the rule of resource versions."""

    def __init__(self) -> None:
        self.lease: dict | None = None
        self.cut_off: set[str] = set()
        self.slow: dict[str, float] = {}
        self.spoken: dict[str, float] = {}

    def client(self, who: str) -> Client:
        return cast(Client, Caller(self, who))

    def store(self, body: dict) -> dict:
        version = int(self.lease["metadata"]["resourceVersion"]) + 1 if self.lease else 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(version)
        return copy.deepcopy(self.lease)

    @property
    def spec(self) -> dict:
        return self.lease["spec"]


class Caller:
    def __init__(self, server: Server, who: str) -> None:
        self.server, self.who = server, who

    async def reach(self, timeout: float) -> None:
        await asyncio.sleep(min(self.server.slow.get(self.who, 0.0), timeout))
        if self.who in self.server.cut_off or self.server.slow.get(self.who, 0.0) > timeout:
            raise Unreachable("cut off")

    async def get(self, path: str, kind: type[dict], *, timeout: float) -> dict[Any, Any]:
        await self.reach(timeout)
        if self.server.lease is None:
            raise NotFound(404, "NotFound", "no lease")
        return copy.deepcopy(self.server.lease)

    async def create(self, path: str, body: dict[str, Any], kind: type[dict], *, timeout: float) -> dict[str, Any]:
        await self.reach(timeout)
        if self.server.lease is not None:
            raise AlreadyExists(409, "AlreadyExists", "there is one")
        return self.server.store(body)

    async def replace(self, path: str, body: dict[Any, Any], kind: type[dict], *, timeout: float) -> dict[Any, Any]:
        await self.reach(timeout)
        if body["metadata"]["resourceVersion"] != self.server.lease["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "changed")
        return self.server.store(body)


class Candidate:
    """An election that notes when it acts."""

    def __init__(self, server: Server, name: str, work: float = 1e9) -> None:
        wrong = 1e6 * ord(name)  # clocks of different machines are never compared
        self.election = Election(
            server.client(name),
            namespace="ns",
            name="lease",
            identity=name,
            terms=TERMS,
            wall=lambda: wrong + now(),
            draw=lambda: 0,
        )
        self.spans: list[tuple[float, float]] = []
        self.work = work
        self.task = asyncio.ensure_future(self.election.run(self.lead))

    async def lead(self) -> None:
        began = now()
        self.acting = True
        try:
            await asyncio.sleep(self.work)
        finally:
            self.acting = False
            self.spans.append((began, now()))

    acting = False

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def server() -> Server:
    return Server()


async def test_the_first_candidate_leads_and_the_second_waits(server: Server) -> None:
    a, b = Candidate(server, "a"), Candidate(server, "b")
    await asyncio.sleep(100)
    assert (a.acting, b.acting) == (True, False)
    assert (a.election.leader, b.election.leader) == (True, False)
    assert b.election.holder == "a"
    assert server.spec["leaseDurationSeconds"] == 15
    assert server.spec["leaseTransitions"] == 0
    await a.stop()
    await b.stop()


async def test_a_leader_that_stops_gives_the_lease_back_so_that_nobody_waits_for_its_expiry(server: Server) -> None:
    a, b = Candidate(server, "a"), Candidate(server, "b")
    await asyncio.sleep(10)
    await a.stop()
    stopped = now()
    await asyncio.sleep(2.1)  # the next look of b
    assert b.acting
    assert b.election.leader
    await b.stop()
    assert b.spans[0][0] - stopped <= 2
    assert server.spec["holderIdentity"] == ""
    assert server.spec["leaseTransitions"] == 1


async def test_a_leader_that_is_cut_off_stops_before_anybody_else_begins(server: Server) -> None:
    a, b = Candidate(server, "a"), Candidate(server, "b")
    await asyncio.sleep(10.5)
    server.cut_off.add("a")
    await asyncio.sleep(40)
    assert b.acting
    await b.stop()
    a_stopped, b_began = a.spans[0][1], b.spans[0][0]
    # a renewed last at 10 and stops at 10 + 10; b saw that renewal by 12 and waits 15 s from there, looking every 2 s.
    assert a_stopped == pytest.approx(20, abs=0.01)
    assert 25 <= b_began <= 10 + 2 + 15 + 2
    await a.stop()


async def test_a_lease_is_judged_by_when_we_saw_it_change_not_by_what_its_clock_says(server: Server) -> None:
    """The dead holder's renewTime is in 1970: a newcomer waits its 15 s all the same."""
    dead = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "1970-01-01T00:00:00.000000Z"}
    server.store({"metadata": {"name": "lease"}, "spec": dead | {"leaseTransitions": 4}})
    a = Candidate(server, "a")
    await asyncio.sleep(14)
    assert not a.acting
    await asyncio.sleep(3)
    assert a.acting
    assert server.spec["leaseTransitions"] == 5
    await a.stop()


async def test_of_many_that_take_over_at_once_one_wins(server: Server) -> None:
    server.store({"metadata": {"name": "lease"}, "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15}})
    for name in "abcde":
        server.slow[name] = 0.1  # all read before any writes
    candidates = [Candidate(server, name) for name in "abcde"]
    for _ in range(120):
        await asyncio.sleep(0.5)
        assert sum(one.acting for one in candidates) <= 1
        assert sum(one.election.leader for one in candidates) <= 1
    assert sum(one.acting for one in candidates) == 1
    for one in candidates:
        await one.stop()


async def test_a_leader_whose_lease_was_taken_stops_at_its_next_look(server: Server) -> None:
    a = Candidate(server, "a")
    await asyncio.sleep(5)
    server.store(server.lease | {"spec": server.spec | {"holderIdentity": "thief"}})
    await asyncio.sleep(2)
    assert not a.acting
    assert not a.election.leader
    await a.stop()
    assert server.spec["holderIdentity"] == "thief", "what is not ours is not given back"


async def test_a_short_outage_is_survived(server: Server) -> None:
    a = Candidate(server, "a")
    await asyncio.sleep(5)
    server.cut_off.add("a")
    await asyncio.sleep(7)
    server.cut_off.clear()
    await asyncio.sleep(30)
    assert a.acting
    assert a.spans == []
    await a.stop()


async def test_a_leader_that_lost_the_lease_tries_again(server: Server) -> None:
    a = Candidate(server, "a")
    await asyncio.sleep(5)
    server.cut_off.add("a")
    await asyncio.sleep(30)
    assert not a.acting
    server.cut_off.clear()
    await asyncio.sleep(20)
    assert a.acting
    await a.stop()


async def test_a_server_too_slow_to_renew_is_as_good_as_none(server: Server) -> None:
    a = Candidate(server, "a")
    await asyncio.sleep(5)
    server.slow["a"] = 60.0
    await asyncio.sleep(12)
    assert not a.acting
    await a.stop()


async def test_what_others_wrote_into_the_lease_survives(server: Server) -> None:
    a = Candidate(server, "a")
    await asyncio.sleep(1)
    server.store(server.lease | {"metadata": server.lease["metadata"] | {"labels": {"kept": "yes"}}})
    server.spec["preferredHolder"] = "z"
    await asyncio.sleep(20)
    assert a.acting
    assert server.lease["metadata"]["labels"] == {"kept": "yes"}
    assert server.spec["preferredHolder"] == "z"
    await a.stop()


async def test_a_lease_that_somebody_deleted_is_made_anew(server: Server) -> None:
    a = Candidate(server, "a")
    await asyncio.sleep(1)
    server.lease = None
    await asyncio.sleep(3)
    assert a.acting
    assert server.spec["holderIdentity"] == "a"
    await a.stop()


async def test_run_returns_when_the_work_is_done_and_raises_what_it_raised(server: Server) -> None:
    a = Candidate(server, "a", work=3)
    await a.task
    assert a.spans == [(0, 3)]
    assert server.spec["holderIdentity"] == ""

    async def fail() -> None:
        raise ZeroDivisionError

    election = Election(server.client("b"), namespace="ns", name="lease", identity="b")
    with pytest.raises(ZeroDivisionError):
        await election.run(fail)
    assert server.spec["holderIdentity"] == ""


def test_terms_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="retry < renew < lease"):
        Election(None, namespace="ns", name="lease", identity="a", terms=Terms(lease=10, renew=10))


async def test_an_outage_is_said_when_it_begins_and_when_it_ends_not_at_every_try(server: Server) -> None:
    server.cut_off.add("a")
    with capture_logs() as logs:
        a = Candidate(server, "a")
        await asyncio.sleep(60)
        server.cut_off.clear()
        await asyncio.sleep(10)
        await a.stop()
    said = [line["event"] for line in logs]
    assert said == ["lease not reached", "lease reached again", "leading"]


async def test_leadership_counts_from_when_a_renewal_was_asked_for_not_from_its_answer(server: Server) -> None:
    """Each call takes 4 s: asked at 0, answered at 8 (get, create). Cut off then, a stops at 0 + 10, not at 8 + 10.

    Others saw the Lease change between asking and answer: counted from the answer, two could lead at once.
    """
    server.slow["a"] = 4.0
    a = Candidate(server, "a")
    await asyncio.sleep(8.5)
    assert a.election.leader
    server.cut_off.add("a")
    await asyncio.sleep(20)
    assert a.spans == [(8, pytest.approx(10, abs=0.01))]
    await a.stop()


async def test_past_the_deadline_nobody_is_leader_by_his_own_clock_whatever_is_stuck(server: Server) -> None:
    """Work that does not end when it is cancelled at 10: asked at 9.9 the leader leads, at 10.1 he does not."""
    said = []

    async def hang() -> None:
        server.cut_off.add("a")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1e9)
        await asyncio.sleep(2)

    election = Election(server.client("a"), namespace="ns", name="lease", identity="a", terms=TERMS, draw=lambda: 0)
    running = asyncio.ensure_future(election.run(hang))
    for moment in (9.9, 10.1, 11.9):
        await asyncio.sleep(moment - now())
        said.append(election.leader)
    assert said == [True, False, False]
    running.cancel()
    await asyncio.wait([running])


async def test_the_terms_are_those_of_kubernetes_own_controllers(server: Server) -> None:
    """15 s, 10 s, 2 s (k8s.io/component-base, config/v1alpha1): b takes a dead leader's Lease over after 15 s."""
    assert Terms() == (15.0, 10.0, 2.0)
    dead = {"holderIdentity": "dead", "leaseDurationSeconds": 15}
    server.store({"metadata": {"name": "lease"}, "spec": dead})
    b = Candidate(server, "b")
    await asyncio.sleep(40)
    await b.stop()
    # It looks at 0, 2, 4 …; at 14 the 15 s since it first saw the Lease are not over, at 16 they are.
    assert b.spans[0][0] == 16
