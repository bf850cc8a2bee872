"""`streamgate-console`: flags -> settings -> lists and a port -> a URL."""

import asyncio
import math
import secrets
import sys
from collections.abc import Sequence
from typing import Final

from adapter import files
from adapter.clock import steady
from adapter.console.access import Access
from adapter.console.board import Board
from adapter.console.history import History
from adapter.console.poll import Poller
from adapter.console.serve import BOUNDS, Pages, url
from adapter.console.settings import FLAGS, Settings
from adapter.inbound.listener import listen
from adapter.kube.client import Client
from adapter.kube.config import ConfigError, connect
from adapter.program import run, tables
from adapter.program.run import StartError, supervise

LEAST_TOKEN: Final = 32
MOST_TOKEN: Final = 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    return run.main(FLAGS, serve, arguments)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Lists and serves until `stop` is set. Raises StartError."""
    given = read_token(settings.token_file) if settings.token_file else ""
    token = given or secrets.token_urlsafe(32)
    try:
        connection = await connect(settings.kubeconfig, settings.context)
    except ConfigError as error:
        raise StartError(str(error)) from error
    board = Board(
        namespaces=tuple(dict.fromkeys(settings.namespaces)) or ("",),
        history=History(length=math.ceil(settings.history / settings.refresh)),
        refresh=settings.refresh,
    )
    pages = Pages(board, Access(token, hosts(settings)), seconds=settings.history, clock=steady)
    async with Client(connection, timeout=settings.request_timeout) as client:
        try:
            listener = await listen(pages.answer, settings.address.host, settings.address.port, bounds=BOUNDS)
        except OSError as error:
            raise StartError(f"--address={settings.address}: cannot listen: {error.strerror or error}") from error
        try:
            tables.lines(start_lines(settings, listener.port, "" if given else token))
            sys.stdout.flush()
            await supervise(Poller(client, board, steady).jobs(), stop)
        finally:
            await listener.close(1.0)


def hosts(settings: Settings) -> Sequence[str]:
    """By which names a browser may ask: also by the address itself, which no other site can have for its name."""
    own = _in_url(settings.address.host)
    return (*settings.allowed_hosts, own) if own else settings.allowed_hosts


def start_lines(settings: Settings, port: int, token: str) -> Sequence[str]:
    """What a person reads at the start; a token from a file is not shown."""
    address = f"{_in_url(settings.address.host) or '127.0.0.1'}:{port}"
    if token:
        return [url(address, token)]
    return [f"{url(address, '')}?token=… with the token of {settings.token_file}"]


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def read_token(file: str) -> str:
    """The token in a file, without blanks around it. Raises StartError."""
    try:
        text = files.read(file, files.MOST_TOKEN).decode("ascii").strip()
    except OSError as error:
        raise StartError(f"--token-file={file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        text = ""
    if not LEAST_TOKEN <= len(text) <= MOST_TOKEN or not text.isprintable() or " " in text:
        raise StartError(
            f"--token-file={file}: {LEAST_TOKEN} to {MOST_TOKEN} characters of ASCII without blanks are wanted, "
            "such as `openssl rand -hex 32` gives"
        )
    return text


if __name__ == "__main__":
    sys.exit(main())
