"""The adapter without Kubernetes: objects from a file, and credentials of its own for kubectl and curl."""

import base64
import datetime
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.objects import Pod

MAX_FILE = 4 << 20
VALIDITY = datetime.timedelta(days=7)


class StandaloneError(ValueError):
    """The file with the objects is no good; one sentence with its name and the document."""


def read_objects(file: Path) -> tuple[list[Pod], list[HorizontalPodAutoscaler]]:
    """The Pods and HorizontalPodAutoscalers of a file of YAML documents, as `kubectl get -o yaml` writes them.

    A pod needs `status.podIP` and the prometheus.io/ annotations to be scraped. Raises StandaloneError.
    """
    pods: list[Pod] = []
    hpas: list[HorizontalPodAutoscaler] = []
    for number, document in enumerate(_documents(file), 1):
        kind = document.get("kind") if isinstance(document, dict) else None
        try:
            if kind == "Pod":
                pods.append(msgspec.convert(document, Pod))
            elif kind == "HorizontalPodAutoscaler":
                hpas.append(msgspec.convert(document, HorizontalPodAutoscaler))
            else:
                raise StandaloneError(
                    f"{file}, document {number}: kind is {kind!r}; Pod or HorizontalPodAutoscaler is right"
                )
        except msgspec.ValidationError as error:
            raise StandaloneError(f"{file}, document {number} ({kind}): {error}") from error
    return pods, hpas


def _documents(file: Path) -> Iterator[Any]:
    try:
        if file.stat().st_size > MAX_FILE:
            raise StandaloneError(f"{file}: has more than {MAX_FILE} bytes")
        for document in yaml.load_all(file.read_text(), yaml.CSafeLoader):
            yield from (
                document["items"] if isinstance(document, dict) and document.get("kind") == "List" else [document]
            )
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StandaloneError(f"{file}: cannot be read: {' '.join(str(error).split())}") from error


class ClientAuthority:
    """A CA that lives for one run, and the administrator's certificate that it signs."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "streamgate-standalone-clients")])
        self._certificate = (
            self._builder(name, name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
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
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), plain

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
        return (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + VALIDITY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _usage(*, signs: bool) -> x509.KeyUsage:
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
