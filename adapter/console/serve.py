"""The port of the console: who may look, which page, and the headers that bound what a browser does with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from adapter.console.access import TOKEN, Access, Entry, without_token
from adapter.console.board import Board
from adapter.console.choose import Wish
from adapter.console.pages import hpas, recommendations, releases
from adapter.console.pages.frame import HPAS, RECOMMENDATIONS, RELEASES, Asked, Place
from adapter.inbound.connection import Connection
from adapter.inbound.places import Bounds

BOUNDS: Final = Bounds(connections=100, strangers=64, untaken_bytes=16 * 2**20)
"""One person, or a few: a browser opens six connections."""
HEADERS: Final = {
    # Nothing but our own two files is loaded, nothing runs that stands in a page, and nobody frames it.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STATUS: Final = {Entry.WRONG_METHOD: 405, Entry.WRONG_HOST: 421, Entry.NO_TOKEN: 403}
STATIC: Final = Path(__file__).parent / "static"
FILES: Final = {
    "/console.css": (STATIC / "console.css", "text/css"),
    "/console.js": (STATIC / "console.js", "text/javascript"),
}


class Pages:
    """Answers requests from the board."""

    def __init__(self, board: Board, access: Access, *, seconds: float, clock: Callable[[], float]) -> None:
        """`seconds`: how far back lines go; `clock`: Unix s."""
        self._board, self._access, self._seconds, self._clock = board, access, seconds, clock
        self._files = {path: (file.read_bytes(), kind) for path, (file, kind) in FILES.items()}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The handler of the port."""
        answer = self._answer(request)
        answer.headers.update(HEADERS)
        return answer

    def _answer(self, request: web.BaseRequest) -> web.Response:
        entry = self._access.admit(request.method, request.path, request.query, request.headers)
        if entry is Entry.HEALTH:
            return web.Response(text="OK\n")
        if entry in STATUS:
            allowed = {"Allow": "GET"} if entry is Entry.WRONG_METHOD else {}
            return web.Response(status=STATUS[entry], text=f"{entry.value}\n", headers=allowed)
        if isinstance(request.protocol, Connection):
            request.protocol.note_authenticated()
        if entry is Entry.ENTER:
            to = without_token(request.path, request.query)
            return web.Response(status=303, headers={"Location": to, "Set-Cookie": self._access.set_cookie()})
        if request.path in self._files:
            body, kind = self._files[request.path]
            return web.Response(body=body, content_type=kind, charset="utf-8")
        return self._page(request)

    def _page(self, request: web.BaseRequest) -> web.Response:
        def page_request(place: Place) -> Asked:
            return Asked(place, Wish.of(request.query), self._clock())

        if request.path == HPAS.path:
            return _html(hpas.page(self._board, page_request(HPAS), self._seconds))
        if request.path == RELEASES.path:
            return _html(releases.page(self._board, page_request(RELEASES)))
        if request.path == RECOMMENDATIONS.path:
            return _html(recommendations.page(self._board, page_request(RECOMMENDATIONS)))
        return web.Response(status=404, text="there is no such page here\n")


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8")


def url(address: str, token: str) -> str:
    """What a person opens."""
    return f"http://{address}/?{TOKEN}={token}" if token else f"http://{address}/"
