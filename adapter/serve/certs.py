"""The server's own certificate: read from files, or made by itself."""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapter.files import MOST_PEM, read

VALIDITY = 365 * 86400.0
"""s for which a self-made certificate holds."""
RENEWAL = 30 * 86400.0
"""s before its end at which a self-made certificate is replaced."""
_LEEWAY = 3600.0
"""s by which clients' clocks may be behind ours."""

_log = structlog.get_logger(__name__)


class CertificateError(ValueError):
    """A certificate or key that cannot be served; the text names the file and the problem."""


class KeyPair(NamedTuple):
    """A certificate, with any intermediate ones after it, and its key; both PEM."""

    certificate: bytes
    key: bytes

    @property
    def expires(self) -> float:
        """Unix time at which the first certificate ends."""
        return x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc.timestamp()


def read_pair(certificate_file: Path, key_file: Path) -> KeyPair:
    """The pair in two files. Raises CertificateError where they cannot be read or do not belong together."""
    pair = KeyPair(_read(certificate_file), _read(key_file))
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateError(f"{certificate_file}: is no PEM certificate: {error}") from error
    try:
        key = load_pem_private_key(pair.key, None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"{key_file}: is no PEM private key without a password") from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificate.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise CertificateError(f"{key_file}: is not the key of the certificate in {certificate_file}")
    return pair


def load_or_make(folder: Path, names: Sequence[str], now: float) -> KeyPair:
    """The self-made pair that `folder` keeps (apiserver.crt, apiserver.key), if it still serves, else a new one.

    A new one is kept there if the folder can be written, and only in memory otherwise.
    """
    certificate_file, key_file = folder / "apiserver.crt", folder / "apiserver.key"
    try:
        kept = read_pair(certificate_file, key_file)
        if kept.expires - now > RENEWAL and _covers(kept, names):
            return kept
    except CertificateError:
        pass  # none is there, or one that is of no use
    made = make_pair(names, now)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(key_file, made.key)
        _write(certificate_file, made.certificate)
    except OSError as error:
        _log.info("the self-made certificate is kept in memory only", folder=str(folder), cause=str(error))
    return made


def make_pair(names: Sequence[str], now: float) -> KeyPair:
    """A new certificate for `names` (DNS names and IP addresses), with the CA that signed it and is then forgotten."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _name(f"streamgate-adapter-ca@{int(now)}")
    ca = (
        certificate_builder(
            subject=authority, issuer=authority, key=authority_key, authority_key=authority_key, now=now
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(signs=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        certificate_builder(
            subject=_name(f"streamgate-adapter@{int(now)}"),
            issuer=authority,
            key=key,
            authority_key=authority_key,
            now=now,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(leaf.public_bytes(Encoding.PEM) + ca.public_bytes(Encoding.PEM), plain)


def certificate_builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    authority_key: ec.EllipticCurvePrivateKey,
    now: float,
    validity: float = VALIDITY,
) -> x509.CertificateBuilder:
    """What every certificate of ours has, valid for `validity` s from `now` (Unix time) on.

    `authority_key` is to sign it. The key identifiers are what strict verifiers (Python >= 3.13) want.
    """

    def moment(unix: float) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(unix, datetime.UTC)

    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(moment(now - _LEEWAY))
        .not_valid_after(moment(now + validity))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )


def key_usage(*, signs: bool) -> x509.KeyUsage:
    """Of an authority, which `signs` certificates, or of one who has such a certificate."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _covers(pair: KeyPair, names: Sequence[str]) -> bool:
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return set(map(_general_name, names)) <= set(held)


def _read(file: Path) -> bytes:
    try:
        return read(file, MOST_PEM)
    except OSError as error:
        raise CertificateError(f"{file}: cannot be read: {error.strerror}") from error


def _write(file: Path, content: bytes) -> None:
    """All of it or nothing, readable by the owner alone."""
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    part.replace(file)
