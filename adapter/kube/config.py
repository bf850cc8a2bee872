"""Where the API server is and who we are: from a kubeconfig, or from the pod that we run in.

Others read the files; what is added here is the rest of their life: a token file that rotates, a plugin's
credentials that expire, certificates that are replaced in place. Of files only their names are ever logged.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog
import yaml
from multidict import CIMultiDict, MultiMapping

from adapter import files
from adapter.files import FileError, Identity, identity
from adapter.kube.account import HOST, Account, Found
from adapter.kube.plugin import PluginError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REFRESH = 60.0
"""Seconds after which files are read again; the kubelet renews a token when 80 % of its hour are over."""
AFTER_REFUSAL = 10.0
"""Seconds between renewals that a 401 asks for, so that a wrong token does not become a storm of plugin runs."""

log = structlog.get_logger(__name__)


class ConfigError(Exception):
    """The credentials cannot be read; one sentence with the file, what is wrong and what would be right."""


class Credentials(Protocol):
    """Who we are, as request headers; client certificates sit in the connection's SSL context instead."""

    @property
    def renewable(self) -> bool:
        """Whether reading anew may give other credentials, so that a refused call is worth a second try."""
        ...

    async def headers(self, refused: bool = False) -> MultiMapping[str]:
        """The headers of a call, some of which may be there several times. Never raises.

        `refused` says that the server has just refused the last ones.
        """
        ...


@dataclass(frozen=True)
class Fixed:
    """Credentials that never change; without a token, none."""

    token: str = ""
    renewable: bool = False

    async def headers(self, refused: bool = False) -> MultiMapping[str]:
        """See Credentials."""
        return CIMultiDict({"Authorization": f"Bearer {self.token}"} if self.token else {})


@dataclass(frozen=True)
class Connection:
    """All that a Client needs to know."""

    server: str
    """URL without a slash at its end."""
    tls: ssl.SSLContext | None = None
    """None for plain HTTP."""
    credentials: Credentials = Fixed()
    namespace: str = "default"
    """The namespace that we run in, or that the context names."""
    server_name: str = ""
    """What the server's certificate must be for, where that is not the host of `server`."""
    proxy: str = ""


async def connect(
    kubeconfig: str = "",
    context: str = "",
    *,
    server: str = "",
    strict_x509: bool = True,
    service_account: Path = SERVICE_ACCOUNT,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.monotonic,
) -> Connection:
    """The connection that `kubeconfig` (several files joined by ':' as in $KUBECONFIG) or the surroundings offer.

    Without `kubeconfig`: $KUBECONFIG, else the pod's service account, else ~/.kube/config. `server` stands in for the
    one that a file names, as kubectl's --server does: the user and the CAs are then for it. `strict_x509` False accepts
    CAs that Python >= 3.13 refuses for lacking extensions of RFC 5280. Raises ConfigError.
    """
    named = kubeconfig or environ.get("KUBECONFIG", "")
    if not named and not context and environ.get(HOST):
        loader: _Loader = Account(service_account, environ)
    else:
        from adapter.kube.kubeconfig import Kubeconfig

        loader = Kubeconfig(named or str(Path("~/.kube/config")), context, server)
    renewing = Renewing(loader, strict_x509, clock)
    settings = await renewing.start()
    return Connection(
        server=settings.host.rstrip("/"),
        tls=renewing.tls,
        credentials=renewing,
        namespace=loader.namespace(),
        server_name=settings.tls_server_name,
        proxy=settings.proxy,
    )


class _Loader(Protocol):
    where: str

    async def load(self, anew: bool) -> Found:
        """What the files say now; `anew` forgets what a plugin said before."""
        ...

    def ages(self) -> bool:
        """Whether what was loaded can change without a refusal telling so."""
        ...

    def namespace(self) -> str: ...

    def impersonates(self) -> Sequence[tuple[str, str]]:
        """The headers that say as whom we act; none where as ourselves."""
        ...


_BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError)
"""What a loader raises for a malformed file; it checks little of its shape."""


class Renewing:
    """Credentials that are read again when they age or are refused; certificates change in place in `tls`."""

    def __init__(self, loader: _Loader, strict_x509: bool, clock: Callable[[], float]) -> None:
        self.tls: ssl.SSLContext | None = None
        self.renewable = True
        self._loader = loader
        self._strict = strict_x509
        self._clock = clock
        self._lock = asyncio.Lock()
        self._headers: MultiMapping[str] = CIMultiDict()
        self._read_at = 0.0
        self._certificates: tuple[tuple[str, ...], Identity] = ((), ())

    async def start(self) -> Found:
        """Reads for the first time. Raises ConfigError."""
        try:
            return await self._load(anew=True)
        except _BROKEN as error:
            raise ConfigError(f"{self._loader.where}: {str(error) or type(error).__name__}") from error

    async def headers(self, refused: bool = False) -> MultiMapping[str]:
        """See Credentials."""
        if self._is_due(refused):
            async with self._lock:
                if self._is_due(refused):
                    await self._renew(refused)
        return self._headers

    def _is_due(self, refused: bool) -> bool:
        age = self._clock() - self._read_at
        return age >= (AFTER_REFUSAL if refused else REFRESH) and (refused or self._loader.ages())

    async def _renew(self, anew: bool) -> None:
        try:
            await self._load(anew)
        except _BROKEN as error:  # What we have may serve yet, and a file may be in the midst of its replacement.
            cause = str(error) if isinstance(error, FileError | PluginError) else type(error).__name__
            log.warning("credentials not renewed", file=self._loader.where, cause=cause)
        finally:
            self._read_at = self._clock()

    async def _load(self, anew: bool) -> Found:
        settings = await self._loader.load(anew)
        if settings.host.startswith("https"):
            self._secure(settings)
        named = [("Authorization", settings.authorization)] if settings.authorization else []
        self._headers = CIMultiDict([*named, *self._loader.impersonates()])
        self._read_at = self._clock()
        return settings

    def _secure(self, settings: Found) -> None:
        """The TLS context for the certificates of `settings`, made once; changed in place with their files."""
        pem = tuple(file for file in (settings.ssl_ca_cert, settings.cert_file, settings.key_file) if file)
        stamps = pem, identity(*map(Path, pem))
        if self.tls is None:
            self.tls = _context(settings, self._strict)
        elif stamps == self._certificates:
            return
        elif settings.ssl_ca_cert:
            self.tls.load_verify_locations(settings.ssl_ca_cert)
        if settings.cert_file:
            files.load_pair(self.tls, settings.cert_file, settings.key_file)
        self._certificates = stamps


def _context(settings: Found, strict_x509: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert or None)
    if not settings.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if not strict_x509:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
