"""Requests to URLs that a policy names: whoever may write one must not reach through us what only we can reach.

An address is looked at after its name was resolved and before it is connected to, so no name and no redirect leads
to another. No redirect is followed, no cookie kept, no proxy of the environment used; time and bodies are bounded.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

SECONDS: Final = 5.0
"""For a whole request, the look-up of the name included."""
LOOKUPS: Final = 4
"""Names that are looked up at the same time, in threads of their own: a slow name server holds up nobody else's."""
MOST_URL: Final = 2048
MOST_BODY: Final = 65536
METADATA: Final = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Metadata services of clouds that are not link-local: Alibaba, Azure, Oracle, AWS and Google by IPv6."""
_EMBEDDING: Final = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48")))
"""NAT64: the last 32 bits are an IPv4 address."""


class OutsideError(Exception):
    """A URL may not be asked, or there was no answer; one sentence that holds no secret."""


def objection(address: Address, allowed: Sequence[Network] = ()) -> str:
    """What is wrong with an address, in half a sentence; '' where it may be connected to."""
    if any(address in network for network in allowed):
        return ""
    if isinstance(address, IPv6Address) and (inner := _embedded_ipv4(address)) is not None:
        return objection(inner, allowed)
    if address in METADATA:
        return "is a cloud's metadata service"
    kinds = (
        ("is_unspecified", "is unspecified"),
        ("is_loopback", "is this machine's own"),
        ("is_link_local", "is link-local"),
        ("is_multicast", "is a multicast address"),
        ("is_reserved", "is reserved"),
    )
    return next((words for kind, words in kinds if getattr(address, kind)), "")


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, if it stands for one."""
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFFFFFF) if any(address in network for network in _EMBEDDING) else None


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks such as 169.254.10.0/24. Raises ValueError with a sentence."""
    return tuple(map(ip_network, texts))


class Trust(NamedTuple):
    """Whose certificate is taken; `name`: the one that has to stand in it, and is asked for (SNI)."""

    context: ssl.SSLContext
    name: str


class Guarded(AbstractResolver):
    """Looks names up, and leaves out addresses that may not be connected to."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = allowed
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="look up")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError."""
        loop = asyncio.get_running_loop()
        addresses = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        why = ""
        kept: list[ResolveResult] = []
        for kind, protocol, place in addresses:
            address = place[0].partition("%")[0]  # fe80::1%eth0
            if said := objection(ip_address(address), self._allowed):
                why = f"{address} {said}"
                continue
            kept.append(
                ResolveResult(
                    hostname=host, host=address, port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
                )
            )
        if not kept:
            raise OSError(f"{why}, and may not be asked" if why else "it has no address")
        return kept

    async def close(self) -> None:
        """Waits for nothing."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: int) -> list[tuple[int, int, tuple[str, int]]]:
    addresses = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [(kind, protocol, (str(place[0]), port)) for kind, _, protocol, _, place in addresses]


@contextmanager
def _translate_errors(place: URL, seconds: float) -> Iterator[None]:
    """Raises an OutsideError for whatever goes wrong with the request inside."""
    try:
        yield
    except TimeoutError:
        raise OutsideError(f"{place.host} did not answer within {seconds:g} s") from None
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", "") or error.certificate_error
        raise OutsideError(f"{place.host}: its certificate is refused: {why}") from None
    except aiohttp.ClientConnectorError as error:
        raise OutsideError(f"{place.host} cannot be reached: {error.os_error.strerror or error.os_error}") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise OutsideError(f"{place.host}: {type(error).__name__}") from None


class Outside:
    """`async with Outside() as outside:` asks URLs of policies."""

    def __init__(self, *, allowed: Sequence[Network] = (), seconds: float = SECONDS) -> None:
        """`allowed`: networks that may be asked although they are link-local, loopback or the like."""
        self._allowed, self._seconds = allowed, seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=Guarded(self._allowed), use_dns_cache=False, force_close=True, limit=0
            ),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer, whose body is not read. Raises OutsideError."""
        assert self._session is not None, "it was entered"
        place = self._place(url)
        with _translate_errors(place, self._seconds):
            async with self._session.post(place, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status

    async def get(self, url: str, headers: Mapping[str, str], seconds: float, trust: Trust | None = None) -> int:
        """The status of the answer, of whose body at most MOST_BODY bytes are read. Raises OutsideError.

        `trust`: for https; None: the authorities of the system vouch for the URL's host.
        """
        assert self._session is not None, "it was entered"
        place, limit = self._place(url), aiohttp.ClientTimeout(total=seconds)
        context = trust.context if trust else True
        name = (trust.name or None) if trust else None
        with _translate_errors(place, seconds):
            async with self._session.get(
                place, headers=headers, timeout=limit, allow_redirects=False, ssl=context, server_hostname=name
            ) as answer:
                await answer.content.read(MOST_BODY)
                return answer.status

    def _place(self, url: str) -> URL:
        """The URL, if it may be asked. A path may hold a secret, so messages name no more than the host."""
        try:
            place = URL(url if len(url) <= MOST_URL else "")
            host, port = place.host or "", place.port
        except ValueError:
            host, port = "", None
        if not host or not port or place.scheme not in ("http", "https") or place.user or place.password:
            raise OutsideError("the URL is no good; right would be one like https://host/path, without a user")
        try:
            said = objection(ip_address(host), self._allowed)
        except ValueError:
            return place  # a name: its addresses are looked at
        if said:
            raise OutsideError(f"{host} {said}, and may not be asked")
        return place
