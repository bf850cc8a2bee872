"""TLS of the server: what it shows, whose certificates it takes, and how both change while it runs.

CAs cannot be taken out of a context, so there is a new one after each change, and every handshake is handed the newest.
No tickets are given out, since a session that is resumed from one has lost the chain that tells who vouched for the
client. TLS 1.2 can still resume by number from this process's memory, where the chain is kept; either way the chain is
checked anew on each connection.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from cryptography import x509

from adapter.files import CHECK_EVERY, identity
from adapter.serve.certs import RENEWAL, CertificateError, KeyPair, load_or_make, read_pair
from adapter.serve.trust import Trust

VERSIONS = {"VersionTLS12": ssl.TLSVersion.TLSv1_2, "VersionTLS13": ssl.TLSVersion.TLSv1_3}
"""What --tls-min-version may be: older versions are not spoken."""
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}
"""Go's names of the cipher suites of TLS 1.2, and OpenSSL's."""
_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_DER = 2

_log = structlog.get_logger(__name__)


def cipher_string(names: Sequence[str]) -> str:
    """OpenSSL's list for Go's names; those of TLS 1.3, which are not up for choice, are passed over.

    Raises ValueError for a name that is not known.
    """
    unknown = [name for name in names if name not in CIPHERS and name not in _TLS13]
    if unknown:
        raise ValueError(f"--tls-cipher-suites: {unknown[0]} is not known; known are {', '.join(sorted(CIPHERS))}")
    return ":".join(dict.fromkeys(CIPHERS[name] for name in names if name in CIPHERS))


class Tls:
    """The context to listen with; `use` and every change of `trust` hold from the next handshake on."""

    def __init__(
        self,
        pair: KeyPair,
        trust: Trust,
        min_version: str = "VersionTLS12",
        cipher_suites: Sequence[str] = (),
        *,
        protocol: str = "http/1.1",
    ) -> None:
        """`protocol` is what is spoken within, by its name in ALPN.

        Raises ValueError for a version or a cipher suite that is not known, CertificateError for the pair."""
        if min_version not in VERSIONS:
            raise ValueError(f"--tls-min-version: {min_version} is not spoken; it must be one of {', '.join(VERSIONS)}")
        self._minimum = VERSIONS[min_version]
        self._ciphers = cipher_string(cipher_suites)
        self._protocol = protocol
        self._pair = pair
        self._trust = trust
        self._newest = self._build()
        self.context = self._build()
        self.context.sni_callback = self._hand_over
        trust.on_change(self._renew)

    def use(self, pair: KeyPair) -> None:
        """Show `pair` from now on. Raises CertificateError, and then the old one stays."""
        old, self._pair = self._pair, pair
        try:
            self._renew()
        except CertificateError:
            self._pair = old
            raise

    def _renew(self) -> None:
        self._newest = self._build()

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called by OpenSSL in every handshake, whether or not the client names the server it wants."""
        connection.context = self._newest

    def _build(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._minimum
        if self._ciphers:
            context.set_ciphers(self._ciphers)
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0
        context.set_alpn_protocols([self._protocol])
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a bundle may hold intermediate CAs alone
        pem = self._trust.current.pem
        if pem:
            context.load_verify_locations(cadata=pem.decode())
        _load_pair(context, self._pair)
        return context


def _load_pair(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Python reads a certificate from a file only; an anonymous one in memory spares writing the key to a disk."""
    descriptor = os.memfd_create("serving-certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as stream:
            stream.write(pair.certificate + b"\n" + pair.key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError as error:
        raise CertificateError(f"the serving certificate cannot be used: {error.reason or error}") from error
    finally:
        os.close(descriptor)


def client_chain(connection: ssl.SSLObject) -> list[bytes]:
    """The client's certificates in DER, its own first; empty where it showed none."""
    leaf = connection.getpeercert(binary_form=True)
    if leaf is None:
        return []
    if hasattr(connection, "get_unverified_chain"):  # public from Python 3.13 on
        return list(connection.get_unverified_chain()) or [leaf]
    chain = connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
    return [certificate.public_bytes(_DER) for certificate in chain or () if certificate is not None] or [leaf]


class FilePair:
    """The serving certificate in two files, read again when they change."""

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        self._files = (certificate_file, key_file)
        self._seen: object = None

    def load(self) -> KeyPair | None:
        """The pair if the files are new since the last call. Raises CertificateError."""
        seen = identity(*self._files)
        if seen == self._seen:
            return None
        self._seen = seen
        return read_pair(*self._files)


class SelfMadePair:
    """A self-made serving certificate, made anew before it ends."""

    def __init__(self, folder: Path, names: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._names = tuple(names)
        self._clock = clock
        self._renew_at = 0.0

    def load(self) -> KeyPair | None:
        """A pair if there is none yet or the last one ends soon."""
        now = self._clock()
        if now < self._renew_at:
            return None
        pair = load_or_make(self._folder, self._names, now)
        self._renew_at = pair.expires - RENEWAL
        return pair


async def keep_fresh(tls: Tls, source: FilePair | SelfMadePair, every: float = CHECK_EVERY) -> None:
    """Look for a new pair every so many seconds, until cancelled; one that cannot be used leaves the old one."""
    while True:
        await asyncio.sleep(every)
        try:
            pair = source.load()
            if pair is not None:
                tls.use(pair)
                _log.info("the serving certificate has changed", expires=_ends(pair))
        except CertificateError as error:
            _log.error("the new serving certificate cannot be used; the old one stays", problem=str(error))


def _ends(pair: KeyPair) -> str:
    return x509.load_pem_x509_certificate(pair.certificate).not_valid_after_utc.isoformat()
