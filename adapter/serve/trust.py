"""Whom the server believes: the CA of clients, and the front proxies that may speak for users.

Read from the ConfigMap extension-apiserver-authentication in kube-system, which the API server keeps up to date, and
from flags, which go before it. It changes while the server runs; who reads it asks `Trust.current` each time.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from adapter.files import CHECK_EVERY, MOST_PEM, identity, read
from adapter.serve.chains import BundleError, Pool

CONFIG_MAP = "extension-apiserver-authentication"
CONFIG_MAP_NAMESPACE = "kube-system"

_log = structlog.get_logger(__name__)
_names = msgspec.json.Decoder(tuple[str, ...])


class TrustError(ValueError):
    """A ConfigMap or a file that cannot be used; the text says which key and why."""


class ProxyRules(NamedTuple):
    """What a front proxy must be called and in which headers it names users; headers regardless of case."""

    allowed_names: tuple[str, ...] = ()
    """Common names; empty: any name that the CA vouches for."""
    username_headers: tuple[str, ...] = ("X-Remote-User",)
    group_headers: tuple[str, ...] = ("X-Remote-Group",)
    extra_header_prefixes: tuple[str, ...] = ("X-Remote-Extra-",)
    uid_headers: tuple[str, ...] = ("X-Remote-Uid",)


class FrontProxy(NamedTuple):
    """Who may name users in headers, and in which."""

    pool: Pool
    rules: ProxyRules = ProxyRules()


class Anchors(NamedTuple):
    """What is trusted at one time; None where there is no such CA."""

    clients: Pool | None = None
    front_proxy: FrontProxy | None = None

    @property
    def pem(self) -> bytes:
        """Both bundles in one, for the handshake."""
        pools = (self.clients, self.front_proxy.pool if self.front_proxy else None)
        return b"\n".join(pool.pem for pool in pools if pool is not None)


def anchors_of(data: Mapping[str, str]) -> Anchors:
    """The anchors that the ConfigMap's `data` tells of. Raises TrustError."""
    clients = _pool(data, "client-ca-file")
    pool = _pool(data, "requestheader-client-ca-file")
    if pool is None:
        return Anchors(clients)
    usernames = _list(data, "requestheader-username-headers")
    if not usernames:
        raise TrustError("requestheader-username-headers names no header, so no front proxy could say who the user is")
    rules = ProxyRules(
        allowed_names=_list(data, "requestheader-allowed-names"),
        username_headers=usernames,
        group_headers=_list(data, "requestheader-group-headers"),
        extra_header_prefixes=_list(data, "requestheader-extra-headers-prefix"),
        uid_headers=_list(data, "requestheader-uid-headers"),
    )
    return Anchors(clients, FrontProxy(pool, rules))


class AnchorFiles:
    """The CAs that flags name, read again when the files change; '' for a flag that is not given."""

    def __init__(self, *, client_ca_file: str, requestheader_client_ca_file: str, rules: ProxyRules) -> None:
        self._files = (client_ca_file, requestheader_client_ca_file)
        self._rules = rules
        self._seen: object = None

    def load(self) -> Anchors | None:
        """The anchors if the files are new since the last call. Raises TrustError."""
        seen = identity(*(Path(file) for file in self._files if file))
        if seen == self._seen:
            return None
        self._seen = seen
        clients, proxies = (_file_pool(file) if file else None for file in self._files)
        return Anchors(clients, FrontProxy(proxies, self._rules) if proxies else None)


async def keep_anchors(trust: "Trust", files: AnchorFiles, every: float = CHECK_EVERY) -> None:
    """Look for new files every so many seconds, until cancelled; those that cannot be used leave the old ones."""
    while True:
        await asyncio.sleep(every)
        try:
            anchors = files.load()
            if anchors is not None:
                trust.fix(anchors)
        except TrustError as error:
            _log.error("the new CA file cannot be used; the old one holds", problem=str(error))


class Trust:
    """The anchors that hold now: those of flags, else those that the cluster last said."""

    def __init__(self, fixed: Anchors = Anchors()) -> None:  # noqa: B008 - immutable
        self._fixed = fixed
        self._told = Anchors()
        self.current = fixed
        self._listeners: list[Callable[[], None]] = []

    def learn(self, data: Mapping[str, str]) -> bool:
        """Take over the ConfigMap's `data`; what cannot be used is logged and leaves everything as it was."""
        try:
            self._told = anchors_of(data)
        except TrustError as error:
            _log.error(
                "the ConfigMap with the cluster's CAs cannot be used; the last good one holds", problem=str(error)
            )
            return False
        self._update()
        return True

    def fix(self, fixed: Anchors) -> None:
        """Replace what the flags' files say."""
        self._fixed = fixed
        self._update()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change."""
        self._listeners.append(listener)

    def _update(self) -> None:
        fixed, told = self._fixed, self._told
        new = Anchors(fixed.clients or told.clients, fixed.front_proxy or told.front_proxy)
        if _same(new, self.current):
            return
        self.current = new
        _log.info("the CAs of clients have changed")
        for listener in self._listeners:
            listener()


def _pool(data: Mapping[str, str], key: str) -> Pool | None:
    pem = data.get(key, "")
    if not pem.strip():
        return None
    try:
        return Pool(pem.encode())
    except BundleError as error:
        raise TrustError(f"{key}: {error}") from error


def _file_pool(file: str) -> Pool:
    try:
        return Pool(read(file, MOST_PEM))
    except (OSError, BundleError) as error:
        raise TrustError(f"{file}: {getattr(error, 'strerror', None) or error}") from error


def _list(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    text = data.get(key, "")
    if not text.strip():
        return ()
    try:
        return tuple(filter(None, _names.decode(text)))
    except (msgspec.DecodeError, RecursionError) as error:
        raise TrustError(f"{key}: must be a JSON list of texts: {error}") from error


def _same(one: Anchors, other: Anchors) -> bool:
    def comparable(anchors: Anchors) -> object:
        clients = anchors.clients.pem if anchors.clients else None
        proxy = anchors.front_proxy
        return clients, None if proxy is None else (proxy.pool.pem, proxy.rules)

    return comparable(one) == comparable(other)
