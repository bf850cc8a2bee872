"""How to reach a Prometheus-compatible API, and who we are there."""

import base64
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from multidict import MultiMapping

from adapter.metrics.prometheus.wire import Reader

Form = list[tuple[str, str]]

RIGHT = "right would be like https://prometheus.monitoring.svc:9090/prefix"
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.|\Z))+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


class Credentials(Protocol):
    """Who we are, renewed by itself; a kubeconfig's user is one."""

    async def headers(self, refused: bool = False) -> MultiMapping[str]:
        """The headers of a request, some of which may be there several times. Never raises.

        `refused` says that the server has just refused the last ones.
        """
        ...


@dataclass(frozen=True)
class Connection:
    """How to reach Prometheus and who we are there."""

    urls: Sequence[str]
    """Endpoints with the same data, the preferred first. A path is the prefix of /api/v1, userinfo is basic auth."""
    token: str = field(default="", repr=False)
    token_file: str = ""
    """Read anew when it changes, as are the files below."""
    username: str = ""
    password: str = field(default="", repr=False)
    credentials: Credentials | None = field(default=None, repr=False)
    """Where there is neither a token nor a username."""
    tls: ssl.SSLContext | None = None
    """None: made of the files below."""
    ca_file: str = ""
    """Verify the server by these alone."""
    more_ca_file: str = ""
    """Without `ca_file`: verify it by these and by the system's."""
    certificate_file: str = ""
    key_file: str = ""
    verify: bool = True
    server_name: str = ""
    """What the server's certificate must be for, where that is not the URL's host."""
    proxies: Sequence[str] = ()
    """For each URL the proxy that it is asked through, '' for none; may have userinfo. Shorter: none for the others."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    use_post: bool = True
    timeout_s: float = 10.0
    """For one request to one endpoint."""
    concurrency: int = 8
    max_bytes: int = 64 * 2**20
    """Of one answer."""
    max_series: int = 10_000
    """That a look-up of series lists; of more the names and labels are looked up."""
    max_names: int = 10_000
    """Of series, that one such look-up takes."""


def basic(username: str, password: str) -> str:
    """Basic authentication, as Go's programs send it: a name with a colon too."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Call(NamedTuple):
    """One request of the API."""

    path: str
    """Below /api/v1."""
    form: Form
    most: int = 0
    """Bytes of the answer; 0: as many as of any."""
    by_get: bool = False
    """Whether the API takes it by GET alone."""
    reader: Callable[[], Reader] | None = None
    """Makes what reads an answer of 200 as it comes; None: it is held as a whole."""


class Endpoint:
    """One URL without its secrets, and what was learnt about it."""

    def __init__(self, url: str, use_post: bool) -> None:
        """Raises ValueError with one sentence, which does not repeat what may be a password."""
        parts = _split(url)
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self.address: Mapping[str, str | int] = {
            "server.address": parts.hostname or "",
            "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        }
        """By OpenTelemetry's names."""
        self.parameters: Form = parse_qsl(parts.query)
        self.username, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        self.use_post = use_post


def _split(url: str) -> SplitResult:
    """The parts of the URL of a server. Raises ValueError."""
    shown = "the URL" if "@" in url else repr(url[:200])
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{shown} is none: {error}; {RIGHT}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{shown} does not begin with http:// or https://; {RIGHT}")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname) or port == 0:
        raise ValueError(f"{shown} names no host and port that can be asked; {RIGHT}")
    return parts
