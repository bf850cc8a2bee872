"""What Locust runs, in a process of its own: the users of a scenario, and what they saw, a line each half second.

`locust -f loadtest/runs/locustfile.py --scenario step --per-pod 20 --host http://…` runs it by hand, with Locust's own
page. Arrivals are Poisson and do not wait for answers, up to one request under way per user: as many users as there are
requests a second, where those are 100 to 500 at the peak; with a lower or a higher one a user asks less or more often.
"""

import json
import random
import time
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, LoadTestShape, events, task
from locust.env import Environment

from loadtest.runs.scenarios import SCENARIOS, Scenario, asking, requests_per_user

LINE_S = 0.5
"""Between two lines of the record."""
LATE_S = 1.0
"""A user that fell behind by more gives up on what it missed: the load stays bounded."""
TIMEOUT_S = 10.0
SPAWN_A_SECOND = 10_000
ERROR, ASKED_FOR = "error_rate=1", 500
"""What asks the sample service for an error, and the error that it then answers."""
NAMED = 80
"""Bytes of an answer whose first word may be the pod that gave it."""
POD_NAMES = 200
"""Names that are counted in one line, at most."""


@events.init_command_line_parser.add_listener
def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="step", help="what load there is at a time")
    parser.add_argument("--per-pod", type=float, default=20.0, help="requests/s that a pod bears at the HPA's target")
    parser.add_argument("--seconds", type=float, default=0.0, help="stretch the scenario to so long")
    parser.add_argument("--per-user", type=float, default=0.0, help="requests/s of one user (default: by the peak)")
    parser.add_argument("--work-ms", type=float, default=0.0, help="usual work of a request to the sample service")
    parser.add_argument("--path", default="/", help="what is asked for")
    parser.add_argument("--record", default="", help="file for a line of JSON each half second")


class Run:
    """What is asked for, and how far it is."""

    def __init__(self, given: Any) -> None:
        self.scenario: Scenario = SCENARIOS[given.scenario]
        self.seconds: float = given.seconds or self.scenario.seconds
        self.per_pod: float = given.per_pod
        self.per_user: float = given.per_user or requests_per_user(self.scenario.peak * self.per_pod)
        self.work_ms: float = given.work_ms
        self.path: str = given.path
        self.began = 0.0
        """Unix s; 0 before it."""

    @property
    def elapsed(self) -> float:
        """s since the beginning."""
        return time.time() - self.began

    def target(self) -> str:
        """The path of the next request, with what the sample service shall do for it."""
        place = min(1.0, self.elapsed / self.seconds)
        asked: list[str] = []
        if (work := self.scenario.work(place)) != 1.0 and self.work_ms:
            asked.append(f"work_ms={work * self.work_ms:.1f}")
        if random.random() < self.scenario.errors(place):
            asked.append(ERROR)
        return asking(self.path, asked)


class Shape(LoadTestShape):
    """Locust asks it once a second how many users there shall be."""

    def tick(self) -> tuple[int, float] | None:
        """Users, and how many of them may come in a second; None at the end."""
        run = running(self.runner.environment) if self.runner else None
        elapsed = self.get_run_time()
        if run is None or elapsed >= run.seconds:
            return None
        run.began = run.began or time.time() - elapsed
        load = run.scenario.load(elapsed, per_pod=run.per_pod, seconds=run.seconds)
        return round(load / run.per_user), SPAWN_A_SECOND


_RUNS: dict[int, Run] = {}


def running(environment: Environment) -> Run:
    """The run of this environment."""
    key = id(environment)
    if key not in _RUNS:
        _RUNS[key] = Run(environment.parsed_options)
    return _RUNS[key]


class Client(FastHttpUser):
    """A user: Poisson arrivals of its own, one request at a time."""

    connection_timeout = TIMEOUT_S
    network_timeout = TIMEOUT_S

    def on_start(self) -> None:
        """The first request waits for its arrival too: users who come together do not ask together.

        By Locust's own wait, which ends at once where the user shall go: nobody waits for one that seldom asks.
        """
        self.due = time.perf_counter()
        self.wait()

    def wait_time(self) -> float:
        """s to the next arrival."""
        now = time.perf_counter()
        self.due = max(self.due, now - LATE_S) + random.expovariate(running(self.environment).per_user)
        return max(0.0, self.due - now)

    @task
    def ask(self) -> None:
        """One request."""
        run = running(self.environment)
        headers = {} if run.scenario.keep_alive else {"Connection": "close"}
        self.client.get(run.target(), name=run.path, headers=headers)


class Record:
    """What was seen since the last line."""

    def __init__(self, path: str, environment: Environment) -> None:
        self._file = Path(path).open("w", buffering=1, encoding="utf-8")  # noqa: SIM115
        self._environment = environment
        self._clear()
        environment.events.request.add_listener(self._on_request)
        environment.events.quitting.add_listener(lambda **_: self._line())
        gevent.spawn(self._lines)

    def _clear(self) -> None:
        self.failed = self.asked_to_fail = self.unanswered = 0
        self.latencies: Counter[str] = Counter()
        self.pods: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()

    def _on_request(self, *, response_time: float, response: Any, exception: Exception | None, **_: Any) -> None:
        code = getattr(response, "status_code", 0)
        if exception is None or code:  # a refused connection of 1 ms is no fast answer
            self.latencies[f"{response_time:.3g}"] += 1
        if exception is not None:
            if code == ASKED_FOR and ERROR in (getattr(response, "url", None) or ""):
                self.asked_to_fail += 1
            else:
                self.failed += 1
                self.unanswered += not code
                self.problems[str(exception)[:120]] += 1
        body = getattr(response, "content", None) or b""
        if body and len(body) <= NAMED and len(self.pods) < POD_NAMES:
            self.pods[body.split()[0].decode("utf-8", "replace") if body.split() else ""] += 1

    def _lines(self) -> None:
        while True:
            gevent.sleep(LINE_S)
            self._line()

    def _line(self) -> None:
        runner, run = self._environment.runner, running(self._environment)
        if runner is None or self._file.closed:
            return
        line = {
            "time": time.time(),
            "began": run.began,
            "asked": runner.user_count * run.per_user,
            "failed": self.failed,
            "asked_to_fail": self.asked_to_fail,
            "unanswered": self.unanswered,
            "latencies": self.latencies,
            "pods": self.pods,
            "problems": self.problems,
        }
        self._clear()
        self._file.write(json.dumps(line) + "\n")


@events.init.add_listener
def _begin(environment: Environment, **_: Any) -> None:
    if environment.parsed_options and environment.parsed_options.record:
        Record(environment.parsed_options.record, environment)
