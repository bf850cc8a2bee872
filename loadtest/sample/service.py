"""The sample service: what each path answers, and the work of a request."""

import asyncio
import json
import os
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict

from loadtest.sample.metrics import Metrics
from loadtest.sample.server import Request, Response
from loadtest.sample.settings import Settings

SLICE_S = 0.002  # busy work lets probes in between slices of so long
METHODS = ("GET", "HEAD", "POST")


class Slots:
    """Lets so many work at a time, in the order of their coming; the number may change meanwhile, 0 lets all."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._used = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self._waiting or self._full():
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._give_up(turn)
                raise
        else:
            self._used += 1

    async def __aexit__(self, *_: object) -> None:
        self._used -= 1
        self.admit()

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif not turn.cancelled():  # it was let in just before: the slot is free again
            self._used -= 1
            self.admit()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def admit(self) -> None:
        """Lets in who may; to be called when the limit grows."""
        while self._waiting and not self._full():
            turn = self._waiting.popleft()
            if not turn.done():
                self._used += 1
                turn.set_result(None)

    def _full(self) -> bool:
        return 0 < self._limit() <= self._used


class Service:
    """`ready_at` is on time.monotonic's clock; `draining` is set by SIGTERM and makes it unready."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(time.time())
        self.ready_at = time.monotonic() + settings.startup_s
        self.draining = False
        self._slots = Slots(lambda: self.settings.slots)
        self._random = random.Random()
        self._ballast = b"\1" * (settings.ballast_mib << 20)  # ones: pages of zeros are not really taken

    async def handle(self, request: Request) -> Response:
        if request.method not in METHODS:
            return Response(405, f"{request.method[:20]} is none of {', '.join(METHODS)}\n")
        if request.path == "/settings":
            return self._settings(request)
        if request.path == "/metrics":
            return Response(200, self.metrics.text(self._slots.waiting), "text/plain; version=0.0.4; charset=utf-8")
        if request.path == "/fault":
            return self._fault(request)
        if request.path == "/healthz":
            return Response()
        if request.path == "/readyz":
            return self._ready()
        if request.path == "/":
            return await self._work(request)
        return Response(404, "there are /, /metrics, /healthz, /readyz, /settings and /fault\n")

    def _ready(self) -> Response:
        if self.draining:
            return Response(503, "draining\n")
        return Response() if time.monotonic() >= self.ready_at else Response(503, "starting\n")

    def _settings(self, request: Request) -> Response:
        """GET shows; POST changes, from a JSON object or from the query."""
        if request.method == "POST":
            try:
                values = json.loads(request.body) if request.body else request.query
                if not isinstance(values, Mapping):
                    raise TypeError("the body is no JSON object")
                self.settings = self.settings.with_values(values)
            except (TypeError, ValueError) as error:
                return Response(400, f"{error}\n")
            self._slots.admit()
        return Response(200, json.dumps(asdict(self.settings)) + "\n", "application/json")

    def _fault(self, request: Request) -> Response:
        """POST `?unready_s=10` is not ready for so long, `?crash=1` ends the process at once, as a fault would."""
        if request.method != "POST":
            return Response(405, "a fault is asked for by POST\n")
        if request.query.get("crash"):
            os._exit(1)
        try:
            seconds = float(request.query["unready_s"])
        except (KeyError, ValueError):
            return Response(400, "unready_s=SECONDS or crash=1 would be right\n")
        if not 0 <= seconds <= 3600:
            return Response(400, f"unready_s: {seconds} is not within 0 to 3600\n")
        self.ready_at = time.monotonic() + seconds
        return Response()

    async def _work(self, request: Request) -> Response:
        """A request's work; `?work_ms=` and the like hold for it alone."""
        try:
            settings = self.settings.with_values(request.query) if request.query else self.settings
        except ValueError as error:
            return Response(400, f"{error}\n")
        began = time.monotonic()
        self.metrics.in_flight += 1
        try:
            async with self._slots:
                await work(settings.work_ms / 1000, settings.work_kind)
        finally:
            self.metrics.in_flight -= 1
        failed = self._random.random() < settings.error_rate
        who = f"{settings.pod_name or 'ok'} {settings.pod_version}".strip()
        response = Response(500, f"{who} failed, as was asked for\n") if failed else Response(200, f"{who}\n")
        self.metrics.count(response.code, request.method, time.monotonic() - began)
        return response


async def work(seconds: float, kind: str) -> None:
    """Waits, or burns CPU time of this thread: that takes longer where the CPU is throttled or shared."""
    if kind == "sleep":
        if seconds > 0:
            await asyncio.sleep(seconds)
        return
    left = seconds
    while left > 0:
        began = time.thread_time()
        while time.thread_time() - began < min(left, SLICE_S):
            pass
        left -= time.thread_time() - began
        await asyncio.sleep(0)
