"""Who is asking, found as an aggregated API server must (k8s.io/apiserver, options/authentication.go).

In this order: headers of a front proxy whose certificate is verified, the client's own certificate, a bearer token,
nobody. Headers from anyone else are not looked at.
"""

import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from multidict import CIMultiDictProxy

from adapter.serve.chains import Presented
from adapter.serve.memo import Memo
from adapter.serve.requestinfo import printable
from adapter.serve.status import StatusError, unauthorized
from adapter.serve.trust import FrontProxy, Trust

MAX_TOKENS = 4096
"""Verdicts on tokens that are remembered."""
TOKEN_TTL = 10.0
"""s, as --authentication-token-webhook-cache-ttl defaults to."""
_NO_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"


class User(NamedTuple):
    """Who somebody is. Hashable: the key of verdicts."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
AUTHENTICATED = "system:authenticated"


class Caller(NamedTuple):
    """What a request brings to tell who sends it."""

    headers: CIMultiDictProxy[str]
    presented: Presented | None
    """The client's certificate; None where there was none."""


class Authenticator(Protocol):
    """One way to tell who a caller is."""

    async def authenticate(self, caller: Caller) -> User | None:
        """The user, or None where this way does not apply. Raises StatusError (401, 503)."""
        ...


Clock = Callable[[], float]
ReviewToken = Callable[[str], Awaitable[User | None]]
"""Asks the API server whose token it is; None: nobody's. Raises StatusError where it cannot be asked."""


class FrontProxyHeaders:
    """Users named in headers by a front proxy whose certificate the requestheader CA vouches for."""

    def __init__(self, trust: Trust, clock: Clock = time.time) -> None:
        """`clock` gives Unix seconds."""
        self._trust = trust
        self._clock = clock

    async def authenticate(self, caller: Caller) -> User | None:
        """The user that the headers name."""
        proxy = self._trust.current.front_proxy
        if proxy is None or caller.presented is None or not self._speaks(proxy, caller.presented):
            return None
        rules = proxy.rules
        name = _value(caller.headers, rules.username_headers)
        if not name:
            return None
        groups = tuple(_values(caller.headers, rules.group_headers))
        extra = _extra(caller.headers, rules.extra_header_prefixes)
        return User(name, groups, _value(caller.headers, rules.uid_headers), extra)

    def _speaks(self, proxy: FrontProxy, presented: Presented) -> bool:
        allowed = not proxy.rules.allowed_names or presented.common_name in proxy.rules.allowed_names
        return allowed and presented.is_verified_by(proxy.pool, self._clock())


class ClientCertificates:
    """Users by their own certificate: CN is the name, O the groups."""

    def __init__(self, trust: Trust, clock: Clock = time.time) -> None:
        """`clock` gives Unix seconds."""
        self._trust = trust
        self._clock = clock

    async def authenticate(self, caller: Caller) -> User | None:
        """The user that the certificate names; 401 for a certificate that the clients' CA does not vouch for."""
        pool = self._trust.current.clients
        presented = caller.presented
        if pool is None or presented is None:
            return None
        if not presented.is_verified_by(pool, self._clock()):
            raise unauthorized()
        if not presented.common_name:
            return None
        if presented.uid is None:
            raise unauthorized()
        extra = ((CREDENTIAL_ID, (f"X509SHA256={presented.fingerprint}",)),)
        return User(presented.common_name, presented.organizations, presented.uid, extra)


class BearerTokens:
    """Users by a token that the API server reviews; verdicts, kept under the token's hash, hold for `ttl` seconds."""

    def __init__(self, review: ReviewToken, ttl: float = TOKEN_TTL, clock: Clock = time.monotonic) -> None:
        self._review = review
        self._verdicts: Memo[bytes, tuple[User | None]] = Memo(
            MAX_TOKENS, lambda _: ttl, clock, apart=lambda _, entry: entry[0] is None
        )

    async def authenticate(self, caller: Caller) -> User | None:
        """The token's user; 401 for a token that is nobody's."""
        scheme, _, token = caller.headers.get("Authorization", "").strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return None
        if not token.isascii():
            raise unauthorized()
        key = hashlib.sha256(token.encode()).digest()
        (user,) = await self._verdicts.get(key, lambda: self._ask(token))
        if user is None:
            raise unauthorized()
        return user

    async def _ask(self, token: str) -> tuple[User | None]:
        return (await self._review(token),)


class Authentication:
    """Several ways in order; the first that knows the caller wins.

    A way that refuses does not end the search, but where nobody knows the caller its refusal is the answer, as in
    Kubernetes. Who shows nothing at all is system:anonymous, if that is allowed, and 401 otherwise.
    """

    def __init__(self, ways: Sequence[Authenticator], anonymous: bool = True) -> None:
        self._ways = tuple(ways)
        self._anonymous = anonymous

    async def authenticate(self, caller: Caller) -> User:
        """The user, always with the group that says whether he is known. Raises StatusError (401, 503)."""
        refusal: StatusError | None = None
        for way in self._ways:
            try:
                user = await way.authenticate(caller)
            except StatusError as error:
                refusal = refusal or error
                continue
            if user is not None:
                return _with_group(user)
        if refusal is not None:
            raise refusal
        if not self._anonymous:
            raise unauthorized()
        return ANONYMOUS


def _with_group(user: User) -> User:
    if user.name == ANONYMOUS.name or AUTHENTICATED in user.groups or ANONYMOUS.groups[0] in user.groups:
        return user
    return user._replace(groups=(*user.groups, AUTHENTICATED))


def _value(headers: CIMultiDictProxy[str], names: Sequence[str]) -> str:
    """Of the first header of `names` whose first line has a value, '' where none has: Go looks at no other line."""
    return next(filter(None, (printable(headers.get(name, "")) for name in names)), "")


def _values(headers: CIMultiDictProxy[str], names: Sequence[str]) -> list[str]:
    return [printable(value) for name in names for value in headers.getall(name, ()) if value]


def _extra(headers: CIMultiDictProxy[str], prefixes: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Extra attributes: the key is what follows the prefix, in lower case, percent-decoded where that is possible."""
    extra: dict[str, list[str]] = {}
    for prefix in prefixes:
        start = prefix.lower()
        for name, value in headers.items():
            if name.lower().startswith(start):
                key = _unescape(name[len(start) :].lower())
                extra.setdefault(key, []).append(printable(value))
    return tuple((key, tuple(extra[key])) for key in sorted(extra))


def _unescape(key: str) -> str:
    return key if _NO_ESCAPE.search(key) else unquote(key)
