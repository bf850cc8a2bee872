"""Who may look: by the token, or the cookie that it was exchanged for, and only by a name that is ours. Pure.

A page of another site can make a browser ask 127.0.0.1, and DNS rebinding lets it do so by a name of its own; but it
cannot choose the Host header, and it has neither token nor cookie.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final
from urllib.parse import quote, urlencode

HEALTH: Final = "/healthz"
TOKEN: Final = "token"  # noqa: S105 - the name of a parameter
OURS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
MOST_COOKIES: Final = 16384
"""Characters of a Cookie header that are read."""


class Entry(Enum):
    """What becomes of a request."""

    HEALTH = "health"
    """Anybody may know whether the console lives."""
    ENTER = "enter"
    """With the token: a cookie is given, and the same page asked for without it."""
    COME_IN = "come in"
    WRONG_METHOD = "only GET is understood here"
    WRONG_HOST = "the host name is none of this console's; --allowed-hosts takes more"
    NO_TOKEN = "the token is missing or wrong: open the URL that streamgate-console printed"  # noqa: S105


class Access:
    """Of one console, which has one token."""

    def __init__(self, token: str, hosts: Sequence[str] = ()) -> None:
        self._token = token.encode()
        self._hosts = OURS | {host.lower() for host in hosts}
        self.cookie = f"streamgate-console-{self._mac('name')[:8]}"
        """Its name: cookies do not tell ports apart, so two consoles of one machine need two."""
        self._pass = self._mac("pass")

    def admit(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Entry:
        """What becomes of a request; `headers` are asked for Host and Cookie."""
        if method != "GET":
            return Entry.WRONG_METHOD
        if path == HEALTH:
            return Entry.HEALTH
        if _host(headers.get("Host", "")) not in self._hosts:
            return Entry.WRONG_HOST
        if hmac.compare_digest(query.get(TOKEN, "").encode("utf-8", "replace"), self._token):
            return Entry.ENTER
        return Entry.COME_IN if self._knows(headers.get("Cookie", "")) else Entry.NO_TOKEN

    def set_cookie(self) -> str:
        """The Set-Cookie header: never for scripts, never sent from another site; it ends with the browser."""
        return f"{self.cookie}={self._pass}; Path=/; HttpOnly; SameSite=Strict"

    def _knows(self, cookies: str) -> bool:
        for one in cookies[:MOST_COOKIES].split(";"):
            name, _, value = one.strip().partition("=")
            if name == self.cookie and hmac.compare_digest(value.encode("utf-8", "replace"), self._pass.encode()):
                return True
        return False

    def _mac(self, purpose: str) -> str:
        return hmac.new(self._token, purpose.encode(), hashlib.sha256).hexdigest()


def without_token(path: str, query: Mapping[str, str]) -> str:
    """The same page of ours, the token not in it; the first in place of a path that a browser takes for a host's."""
    rest = urlencode({key: value for key, value in query.items() if key != TOKEN})
    quoted = quote(path)  # a browser leaves out tabs and takes a backslash for a slash
    ours = quoted if quoted.startswith("/") and not quoted.startswith("//") else "/"
    return f"{ours}?{rest}" if rest else ours


def _host(header: str) -> str:
    """The Host header without its port."""
    host, colon, port = header.lower().rpartition(":")
    return host if colon and port.isdecimal() else header.lower()
