"""/metrics and health on plain HTTP, for programs that serve nothing else."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from adapter.program.kinds import Address
from adapter.program.run import StartError


class Health:
    """Serves /metrics and one path of health for the length of an `async with`. Entering raises StartError."""

    def __init__(
        self, address: Address, registry: CollectorRegistry, ails: Callable[[], str], *, path: str = "/healthz"
    ) -> None:
        """`ails` says in a sentence why the program is not well; empty: it is."""
        self._address, self._registry, self._ails, self._path = address, registry, ails, path
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "Health":
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get(self._path, self._health)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._address.host or None, self._address.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise StartError(f"--address={self._address}: cannot listen: {error.strerror or error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        """Where it listens, also where the address said 0."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _health(self, _: web.Request) -> web.Response:
        trouble = self._ails()
        return web.Response(status=500 if trouble else 200, text=f"{trouble or 'OK'}\n")
