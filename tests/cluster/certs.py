"""Certificate authorities of the bed: the cluster's own, and the front proxy's (the aggregator's)."""

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 30  # a bed that is older than this is better started anew


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both PEM files."""

    cert: Path
    key: Path


class Authority:
    """A CA in two files, NAME.crt and NAME.key, made on first use."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.cert, self._key_path = folder / f"{name}.crt", folder / f"{name}.key"
        if not self._key_path.exists():
            self.renew()

    def renew(self) -> None:
        """A new key and certificate under the same file names: what the old one signed is trusted no more."""
        self.folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        # The name carries the time, so that two generations of a CA are told apart in a bundle.
        subject = _name(f"{self.name} {datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%S.%f}", ())
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = _builder(subject, subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(usage, critical=True)
        write_key(self._key_path, key)
        self.cert.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, file: str, user: str, groups: Sequence[str] = (), hosts: Iterable[str] = ()) -> Pair:
        """A certificate for `user` in `groups` (Kubernetes reads CN and O); with `hosts` it serves under them too."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.cert.read_bytes())
        signer = serialization.load_pem_private_key(self._key_path.read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        builder = _builder(_name(user, groups), issuer.subject, key.public_key())
        names, usages = [_host(host) for host in hosts], [ExtendedKeyUsageOID.CLIENT_AUTH]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        pair = Pair(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        write_key(pair.key, key)
        pair.cert.write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return pair


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def service_account_keys(folder: Path) -> Pair:
    """The key that signs ServiceAccount tokens and the public half that checks them (in `.cert`)."""
    pair = Pair(folder / "service-account.pub", folder / "service-account.key")
    if not pair.key.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_key(pair.key, key)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        pair.cert.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    return pair


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
