"""Which of our CAs, if any, vouches for a client's certificate.

OpenSSL has checked the chain during the handshake, but against all CAs at once, and CPython does not say which of them
it ended at. So the chain is built again, on signatures, times, CA flags and extended key usage (RFC 5280, section 6).
Names in the certificate are not matched: front proxies' certificates have none.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, ObjectIdentifier

MAX_DEPTH = 8
MAX_SIGNATURES = 32
"""Signatures that are checked for one certificate: a bound on a stranger's certificates, not on sane chains."""
MAX_CERTIFICATES = 500
"""Certificates in one bundle of CAs."""
_RECHECK = 10.0
"""s for which a refusal is remembered."""
_UID = ObjectIdentifier("1.3.6.1.4.1.57683.2")
"""Kubernetes' attribute for a user's UID in a certificate's subject."""
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }
)
_CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)


class BundleError(ValueError):
    """A bundle of CA certificates that cannot be used; the text is one sentence."""


class Pool:
    """CA certificates that are trusted, from PEM. Compared by identity: a new bundle is a new pool."""

    def __init__(self, pem: bytes) -> None:
        """Raises BundleError."""
        try:
            self.certificates = tuple(x509.load_pem_x509_certificates(pem))
        except (ValueError, x509.InvalidVersion) as error:
            raise BundleError(f"the CA bundle is not PEM certificates: {error}") from error
        if len(self.certificates) > MAX_CERTIFICATES:
            raise BundleError(f"the CA bundle has {len(self.certificates)} certificates, more than {MAX_CERTIFICATES}")
        self.pem = pem

    def __contains__(self, certificate: x509.Certificate) -> bool:
        return certificate in self.certificates


class Presented:
    """The certificates that a client showed on one connection: its own first, then any intermediate ones."""

    def __init__(self, chain: Sequence[bytes]) -> None:
        """`chain` in DER. Raises ValueError for what is no certificate, or has names that cannot be read."""
        try:
            self.leaf, *self._others = (x509.load_der_x509_certificate(der) for der in chain[: MAX_DEPTH * 2])
        except x509.InvalidVersion as error:
            raise ValueError(str(error)) from error
        for certificate in (self.leaf, *self._others):
            _ = certificate.subject, certificate.issuer  # parsed when looked at, and not every name can be
        self._verdicts: dict[Pool, float] = {}

    def is_verified_by(self, pool: Pool, now: float) -> bool:
        """Whether `pool` vouches for it at Unix time `now`; the verdict is kept until it can change."""
        until = self._verdicts.get(pool)
        if until is None or now >= abs(until):
            if len(self._verdicts) > 4:  # pools come and go with rotations
                self._verdicts.clear()
            end = chain_expiry(self.leaf, self._others, pool, now)
            until = self._verdicts[pool] = -(now + _RECHECK) if end is None else end
        return until > 0

    @cached_property
    def common_name(self) -> str:
        """The subject's CN, or ''. Of several the last, as Go reads it and with it whoever approved the request."""
        return next(reversed(_texts(self.leaf, NameOID.COMMON_NAME)), "")

    @cached_property
    def organizations(self) -> tuple[str, ...]:
        """The subject's Os."""
        return tuple(_texts(self.leaf, NameOID.ORGANIZATION_NAME))

    @cached_property
    def uid(self) -> str | None:
        """The subject's UID as Kubernetes writes it, '' where it has none; None for several, or one that is empty."""
        attributes = self.leaf.subject.get_attributes_for_oid(_UID)
        texts = _texts(self.leaf, _UID)
        if not attributes:
            return ""
        return texts[0] if len(attributes) == len(texts) == 1 and texts[0] else None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hexadecimal."""
        return hashlib.sha256(self.leaf.public_bytes(Encoding.DER)).hexdigest()


def chain_expiry(leaf: x509.Certificate, others: Sequence[x509.Certificate], pool: Pool, now: float) -> float | None:
    """Until which Unix time a chain from `leaf` to a CA of `pool` holds; None where none does at `now`."""
    return _Search(others, pool, now).climb(leaf, (), 0)


class _Search:
    def __init__(self, others: Sequence[x509.Certificate], pool: Pool, now: float) -> None:
        self._others = others
        self._pool = pool
        self._now = now
        self._signatures_left = MAX_SIGNATURES

    def climb(
        self, certificate: x509.Certificate, below: tuple[x509.Certificate, ...], authorities: int
    ) -> float | None:
        """The end of the best chain upwards; `authorities` CAs, self-issued ones apart, lie below `certificate`."""
        if certificate in below or len(below) >= MAX_DEPTH or not self._usable(certificate):
            return None
        if below and not _may_sign(certificate, authorities):
            return None
        ends = certificate.not_valid_after_utc.timestamp()
        if certificate in self._pool:
            return ends
        counted = authorities + (1 if below and certificate.subject != certificate.issuer else 0)
        for issuer in (*self._pool.certificates, *self._others):
            if issuer.subject == certificate.issuer and self._is_signed(certificate, issuer):
                above = self.climb(issuer, (*below, certificate), counted)
                if above is not None:
                    return min(ends, above)
        return None

    def _usable(self, certificate: x509.Certificate) -> bool:
        start, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
        if not start <= self._now < end:
            return False
        try:
            extensions = certificate.extensions
        except (ValueError, x509.DuplicateExtension):
            return False
        return _are_understood(extensions) and _for_clients(extensions)

    def _is_signed(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        if self._signatures_left == 0:
            return False
        self._signatures_left -= 1
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True


def _are_understood(extensions: Iterable[x509.Extension[x509.ExtensionType]]) -> bool:
    return all(not extension.critical or extension.oid in _UNDERSTOOD for extension in extensions)


def _for_clients(extensions: x509.Extensions) -> bool:
    try:
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return any(usage in _CLIENT for usage in usages)


def _may_sign(certificate: x509.Certificate, authorities: int) -> bool:
    """Whether it is a CA that may stand above `authorities` other CAs."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    if not constraints.ca or (constraints.path_length is not None and authorities > constraints.path_length):
        return False
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _texts(certificate: x509.Certificate, oid: ObjectIdentifier) -> list[str]:
    """The attributes of the subject in their order; what is no text is passed over, as Go does."""
    values = (attribute.value for attribute in certificate.subject.get_attributes_for_oid(oid))
    return [value for value in values if isinstance(value, str)]
