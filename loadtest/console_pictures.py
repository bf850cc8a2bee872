"""Pictures of streamgate-console for the docs, taken by a browser without a window: 1,400 and 360 px wide.

    python -m loadtest.console_pictures [--browser chromium]

Before them it opens pages on which every name is a script, and fails where one runs, as a cluster test does. What is
shown is made up: ten minutes of a few HPAs, two releases, three recommendations. A browser is wanted on the machine
(Debian's `chromium`).
"""

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from adapter.console.access import Access
from adapter.console.board import Board, Kind
from adapter.console.hpas import HpaView
from adapter.console.releases import ReleaseView
from adapter.console.serve import Pages, url
from adapter.inbound.listener import listen
from adapter.kube.errors import Forbidden
from adapter.rollout.evidence.record import begin, dump
from adapter.rollout.judge import hear
from adapter.rollout.model.gates import parse
from adapter.rollout.model.verdict import Stage
from adapter.rollout.model.window import Arm, Counts, Window
from loadtest.browser import dom, picture, pictures
from tests.console.conftest import NOW, board, condition, cpu, external, hostile, hpa, pods, policy, policy_json, vpa

SECONDS: Final = 600
EVERY: Final = 5
PICTURES: Final = (
    ("/", 1400, 760, "console-hpas.png"),
    ("/releases", 1400, 560, "console-releases.png"),
    ("/recommendations", 1400, 520, "console-recommendations.png"),
    ("/?ns=shop", 360, 1000, "console-hpas-360.png"),
    ("/releases", 360, 1000, "console-releases-360.png"),
)
"""Path, width and height in px, file."""
ABLE: Final = condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
ACTIVE: Final = condition("ScalingActive", "True", "ValidMetricFound", "the HPA was able to compute the replica count")
WITHIN: Final = condition(
    "ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range"
)
AT_MOST: Final = condition(
    "ScalingLimited", "True", "TooManyReplicas", "the desired replica count is more than the maximum replica count"
)
STARVES: Final = condition(
    "ScalingActive", "False", "FailedGetPodsMetric",
    "the HPA was unable to compute the replica count: unable to get metric queue_depth: no metrics returned",
)  # fmt: skip
HELD: Final = condition(
    "AbleToScale", "True", "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)  # fmt: skip
BAD, ALL = "http_errors_total", "http_requests_total"
GATES: Final = [{"name": "errors", "metric": BAD, "total": ALL, "limit": 0.01, "margin": 0.5}]
WELL: Final = (ABLE, ACTIVE, WITHIN)


def hpas_at(back: float) -> Iterator[HpaView]:
    """The HPAs so many seconds before NOW."""
    x = (SECONDS - back) / SECONDS
    wave = 60 + 9 * math.sin(18 * x) + 3 * math.sin(71 * x)
    load = 8.5 + (9 if x > 0.8 else 0) + math.sin(40 * x)
    yield hpa("web", cpu(60, round(wave)), pods("http_requests", "10", f"{wave * 160:.0f}m"), current=12, most=40,
              conditions=WELL)  # fmt: skip
    yield hpa("checkout", pods("http_requests", "10", f"{load * 1000:.0f}m"), current=6, most=30,
              desired=11 if x == 1 else 6, conditions=WELL)  # fmt: skip
    yield hpa("search", cpu(70, round(60 + 75 * x)), current=10, most=10, conditions=(ABLE, ACTIVE, AT_MOST))
    queue = external("queue_depth", "100", f"{900 * math.exp(-3 * x):.0f}", kind="averageValue", queue="mail")
    yield hpa("mailer", queue, namespace="batch", current=9, conditions=(HELD, ACTIVE, WITHIN))
    lost = pods("queue_depth", "20", f"{14 + 4 * math.sin(30 * x):.0f}" if x < 0.55 else None)
    yield hpa("thumbnails", lost, namespace="batch", current=3, conditions=(ABLE, STARVES))
    calm = cpu(65, round(63 + 4 * math.sin(25 * x)))
    yield hpa("api", calm, namespace="lab", current=2, conditions=WELL)


def canary_release() -> ReleaseView:
    """A canary at its second step, half an hour of whose requests were heard."""
    steps = [{"weight": 5}, {"weight": 25}, {"weight": 100}]
    release = {"number": 7, "fingerprint": "5f7c9", "step": 1, "weight": 25, "startedAt": "2026-11-26T11:46:00Z",
               "strategy": {"canary": {"steps": steps}}}  # fmt: skip
    past = [
        {"outcome": "Promoted", "number": 5, "reason": "all gates passed", "endedAt": "2026-11-24T10:00:00Z"},
        {"outcome": "RolledBack", "number": 6, "endedAt": "2026-11-25T11:00:00Z",
         "reason": "errors: 19 of 400 requests bad (4.75 %), stable 4 of 3600 (0.11 %)"},
    ]  # fmt: skip
    raw = policy_json("checkout", gates=GATES)
    gates = parse(raw["spec"])
    record = begin(gates.of(Stage.CANARY))
    for at in range(40):
        arms = {Arm.STABLE: Counts(899, 1), Arm.CANARY: Counts(100, at % 20 == 7)}
        record = hear(gates, record, Window(NOW - 400 + 10 * at, {BAD: arms}, step=1))
    status = {"phase": "Stepping", "message": "step 2 of 3 has 25 % of the traffic; waits for its gates",
              "release": release, "history": past, "evidence": dump(record)}  # fmt: skip
    return policy("checkout", gates=GATES, status=status)


def sample_board() -> Board:
    """The board of all pictures: made-up policies, VPAs and HPAs over an hour."""
    refused = {"phase": "Idle", "message": "waits for another template", "refused": "c41d0",
               "history": [{"outcome": "RolledBack", "number": 3, "reason": "crash loop: 2 of 2 new pods",
                            "endedAt": "2026-11-26T11:20:00Z"}]}  # fmt: skip
    low = condition("LowConfidence", "True", "ShortHistory", "less than 12 h of samples: app")
    risk = "the chance that a day passes the memory target is at most: app"
    within = condition("MemoryRisk", "False", "WithinCeiling", f"{risk} 5 %")
    above = condition("MemoryRisk", "True", "AboveCeiling", f"{risk} 20 %")
    made = board(
        policies=(canary_release(), policy("api", namespace="lab", status=refused)),
        vpas=(vpa("web", cpu="350m", memory="412Mi", lower={"cpu": "210m", "memory": "365Mi"},
                  upper={"cpu": "700m", "memory": "640Mi"}, conditions=(within,)),
              vpa("search", cpu="1200m", memory="900Mi", lower={"cpu": "800m", "memory": "780Mi"},
                  upper={"cpu": "2", "memory": "900Mi"}, uncapped={"cpu": "1200m", "memory": "1150Mi"},
                  conditions=(above,)),
              vpa("api", namespace="lab", cpu="40m", memory="96Mi", lower={"cpu": "15m", "memory": "60Mi"},
                  upper={"cpu": "900m", "memory": "1Gi"}, conditions=(low, within))),
        length=SECONDS // EVERY + 1,
    )  # fmt: skip
    for step in range(SECONDS // EVERY + 1):
        now = NOW - SECONDS + EVERY * step
        made.seen[Kind.HPAS, ""] = made.last_list(Kind.HPAS, "").after_list(list(hpas_at(NOW - now)), now)
        made.remember(now)
    request = {"app": {"cpu": "500m", "memory": "512Mi"}}
    asked: list[Any] = [(("shop", "Deployment", name), request) for name in ("web", "search")]
    made.seen[Kind.DEPLOYMENTS, ""] = made.last_list(Kind.DEPLOYMENTS, "").after_list(asked, NOW)
    forbidden = Forbidden(403, "Forbidden", 'User "ann" cannot list resource "statefulsets" in API group "apps"')
    made.seen[Kind.STATEFUL_SETS, ""] = made.last_list(Kind.STATEFUL_SETS, "").after_failure(forbidden, NOW)
    return made


@asynccontextmanager
async def serve_console(board: Board) -> AsyncIterator[Callable[[str], str]]:
    """The console over its real port, with its token; yields what makes the URL of a path."""
    token = "t" * 43
    listener = await listen(Pages(board, Access(token), seconds=SECONDS, clock=lambda: NOW).answer, "127.0.0.1", 0)
    home = url(f"127.0.0.1:{listener.port}", token)
    try:
        yield lambda path: home.replace("/?", f"{path}{'&' if '?' in path else '?'}")
    finally:
        await listener.close(1.0)


async def try_out(browser: str) -> None:
    """Where everything that a cluster can name is a script, none runs, also after the page has looked again."""
    script = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    made = hostile(script)
    made.refresh = 0.2
    async with serve_console(made) as address:
        for path in ("/", "/releases", "/recommendations"):
            page = await asyncio.to_thread(dom, browser, address(path))
            assert "– StreamGate</title>" in page, page[:500]
            assert "<img" not in page
            assert page.count("<script") == 1
            assert "&lt;script&gt;document.title='broken'" in page
            print(f"{path}: no script from the cluster ran")


async def take(browser: str, into: Path) -> None:
    """All pictures."""
    async with serve_console(sample_board()) as address:
        for path, width, height, name in PICTURES:
            await asyncio.to_thread(picture, browser, address(path), into / name, width=width, height=height)
            print(name)


def all_of_it(browser: str, into: Path) -> None:
    """First that no script runs, then the pictures."""
    asyncio.run(try_out(browser))
    asyncio.run(take(browser, into))


if __name__ == "__main__":
    sys.exit(pictures(__doc__, all_of_it))
