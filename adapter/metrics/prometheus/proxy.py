"""Which proxy a URL is asked through, by the environment's words: as Go's `golang.org/x/net/http/httpproxy` reads them.

HTTP_PROXY, HTTPS_PROXY and NO_PROXY, each in small letters too. Loopback is never asked through a proxy.
"""

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from adapter.metrics.prometheus.connection import basic

_PORTS = {"http": 80, "https": 443}


class ProxyError(ValueError):
    """A proxy that cannot be used; one sentence that names the variable and repeats no password."""


class _Place(NamedTuple):
    host: str
    port: int
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """The proxy's URL for `url`, '' where there is none. Raises ProxyError."""
    parts = urlsplit(url)
    names = ("HTTPS_PROXY", "https_proxy") if parts.scheme == "https" else ("HTTP_PROXY", "http_proxy")
    name = next((name for name in names if environ.get(name)), "")
    if not name or (parts.scheme == "http" and environ.get("REQUEST_METHOD")):  # CGI: a client can set HTTP_PROXY
        return ""
    if _is_direct(parts, environ.get("NO_PROXY") or environ.get("no_proxy") or ""):
        return ""
    return check_proxy(name, environ[name])


def check_proxy(name: str, text: str) -> str:
    """The proxy that the setting `name` gives, with its scheme. Raises ProxyError."""
    text = text.strip()
    proxy = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ProxyError(f"{name} gives no proxy that can be used; right would be like http://proxy:3128")
    return proxy


def _is_direct(parts: SplitResult, exceptions: str) -> bool:
    host = (parts.hostname or "").lower()
    place = _Place(host, parts.port or _PORTS.get(parts.scheme, 0), _address(host))
    if host == "localhost" or (place.address is not None and place.address.is_loopback):
        return True
    return any(_excepts(word.strip().lower(), place) for word in exceptions.split(",") if word.strip())


def _excepts(word: str, place: _Place) -> bool:
    """Whether one word of NO_PROXY means the place: '*', an address or a network, or a name with all below it."""
    if word == "*":
        return True
    if "/" in word:
        try:
            return place.address is not None and place.address in ipaddress.ip_network(word, strict=False)
        except ValueError:
            return False
    name, port = _split_port(word)
    if port is not None and port != str(place.port):
        return False
    if (address := _address(name)) is not None:
        return place.address == address
    if not name:
        return False
    below = name.removeprefix("*")
    return place.host.endswith(below) if below.startswith(".") else f".{place.host}".endswith(f".{below}")


def _split_port(word: str) -> tuple[str, str | None]:
    """Name and port; a bare IPv6 address has no port."""
    if word.startswith("["):
        name, _, port = word[1:].partition("]")
        return name, port[1:] if port.startswith(":") else None
    if word.count(":") != 1:
        return word, None
    name, _, port = word.partition(":")
    return name, port


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def split_credentials(url: str) -> tuple[str | None, dict[str, str]]:
    """A proxy's URL without its userinfo, and the headers that are made of it."""
    if not url:
        return None, {}
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if not parts.username:
        return f"{parts.scheme}://{host}", {}
    credentials = basic(unquote(parts.username), unquote(parts.password or ""))
    return f"{parts.scheme}://{host}", {"Proxy-Authorization": credentials}
