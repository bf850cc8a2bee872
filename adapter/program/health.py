"""/metrics and health on plain HTTP, for programs that serve nothing else."""

from collections.abc import Callable

from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from adapter.inbound.listener import Listener, listen
from adapter.program.kinds import Address
from adapter.program.run import StartError


class Health:
    """Serves /metrics and one path of health for the length of an `async with`. Entering raises StartError."""

    def __init__(
        self, address: Address, registry: CollectorRegistry, ails: Callable[[], str], *, path: str = "/healthz"
    ) -> None:
        """`ails` says in a sentence why the program is not well; empty: it is."""
        self._address, self._registry, self._ails, self._path = address, registry, ails, path
        self._listener: Listener | None = None

    async def __aenter__(self) -> "Health":
        try:
            self._listener = await listen(self._answer, self._address.host, self._address.port)
        except OSError as error:
            raise StartError(f"--address={self._address}: cannot listen: {error.strerror or error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        await self._listener.close(1.0)

    @property
    def port(self) -> int:
        """Where it listens, also where the address said 0."""
        assert self._listener is not None
        return self._listener.port

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path not in ("/metrics", self._path):
            return web.Response(status=404, text=f"only /metrics and {self._path} are here\n")
        if request.method != hdrs.METH_GET:
            return web.Response(status=405, text="only GET is understood here\n", headers={hdrs.ALLOW: hdrs.METH_GET})
        if request.path == "/metrics":
            return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
        trouble = self._ails()
        return web.Response(status=500 if trouble else 200, text=f"{trouble or 'OK'}\n")
