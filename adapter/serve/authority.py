"""An authority of our own for clients, where there is no cluster to say who is who: for one run of the program."""

import base64
import os
import time
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapter.serve.certs import certificate_builder, key_usage

VALIDITY = 7 * 86400.0
"""s for which its certificates hold."""


class ClientAuthority:
    """A CA that lives for one run, and the administrator's certificate that it signs."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "streamgate-standalone-clients")])
        self._certificate = (
            self._builder(name, name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(signs=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        """The CA's certificate."""
        return self._certificate.public_bytes(Encoding.PEM)

    def administrator(self) -> tuple[bytes, bytes]:
        """Certificate and key, PEM, of user `admin` in group `system:masters`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
                x509.NameAttribute(NameOID.COMMON_NAME, "admin"),
            ]
        )
        certificate = (
            self._builder(subject, self._certificate.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), plain

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        return certificate_builder(
            subject=subject, issuer=issuer, key=key, authority_key=self._key, now=time.time(), validity=VALIDITY
        )


def write_credentials(folder: Path, server: str, serving: bytes, authority: ClientAuthority) -> Path:
    """Write `kubeconfig`, and `ca.crt`, `client.crt`, `client.key` for curl, into `folder`; the kubeconfig's path.

    Keys are readable by their owner only. Raises OSError.
    """
    certificate, key = authority.administrator()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("ca.crt", serving), ("client.crt", certificate), ("client.key", key)):
        _write(folder / name, content)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "standalone",
        "clusters": [
            {"name": "standalone", "cluster": {"server": server, "certificate-authority-data": _text(serving)}}
        ],
        "users": [
            {
                "name": "admin",
                "user": {"client-certificate-data": _text(certificate), "client-key-data": _text(key)},
            }
        ],
        "contexts": [{"name": "standalone", "context": {"cluster": "standalone", "user": "admin"}}],
    }
    _write(folder / "kubeconfig", yaml.safe_dump(config).encode())
    return folder / "kubeconfig"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
