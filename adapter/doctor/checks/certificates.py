"""Certificates that have run out or soon will, and servers that are not of the CA that their API names."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from adapter.doctor.finding import About, Finding, word
from adapter.doctor.objects import APIService
from adapter.doctor.snapshot import METRICS, Snapshot

SOON: Final = timedelta(days=14)
"""cert-manager renews a certificate of 90 days 30 days before its end: 14 is late."""
DATES: Final = "base64 -d | openssl x509 -noout -dates"
MOST: Final = 100
"""Certificates that are read of one bundle."""


def check(seen: Snapshot) -> Iterator[Finding]:
    """The bundles of APIServices, adapters' own certificates, and the cluster's authorities."""
    now = datetime.fromtimestamp(seen.now, UTC)
    ours = [one for one in seen.api_services if one.spec.group in METRICS and one.spec.service and one.spec.ca_bundle]
    for one in ours:
        name = one.metadata.name
        shown = f"kubectl get apiservice {word(name)} -o jsonpath='{{.spec.caBundle}}'"
        command = f"{shown} | {DATES}"
        yield from _bundle(f"APIService {name}", "its caBundle", one.spec.ca_bundle, command, now, encoded=True)
    for secret, text in seen.certificates.items():
        namespace, _, name = secret.partition("/")
        shown = f"kubectl -n {word(namespace)} get secret {word(name)}"
        command = f"{shown} -o go-template='{{{{index .data \"tls.crt\"}}}}' | {DATES}"
        yield from _chain(f"Secret {secret}", text, command, now)
        for one in ours:
            if one.spec.service and one.spec.service.namespace == namespace:
                yield from _of_the_ca(one, secret, text)
    for key, text in seen.authorities.items():
        command = "kubectl -n kube-system get configmap extension-apiserver-authentication -o yaml"
        named = "ConfigMap kube-system/extension-apiserver-authentication"
        yield from _bundle(named, key, text, command, now, encoded=False)


def _check_dates(
    named: str, what: str, certificates: Sequence[x509.Certificate], ends: datetime, command: str, now: datetime
) -> Iterator[Finding]:
    """A finding where `ends` is past or near, or where none of `certificates` is valid yet."""
    says = ""
    if ends < now + SOON:
        says = f"{what} {'ran out' if ends < now else 'runs out'} on {ends:%Y-%m-%d %H:%M} UTC"
    elif all(one.not_valid_before_utc > now for one in certificates):
        begins = min(one.not_valid_before_utc for one in certificates)
        says = f"{what} is valid only from {begins:%Y-%m-%d %H:%M} UTC on; is a clock wrong?"
    if says:
        yield Finding(about=About.CERTIFICATE, object=named, says=says, next=command)


def _bundle(named: str, what: str, text: str, command: str, now: datetime, *, encoded: bool) -> Iterator[Finding]:
    """Authorities: one that is valid is enough."""
    if certificates := read(text, encoded=encoded):
        yield from _check_dates(
            named, what, certificates, max(one.not_valid_after_utc for one in certificates), command, now
        )
    else:
        yield Finding(about=About.CERTIFICATE, object=named, says=f"{what} is no certificate in PEM", next=command)


def _chain(named: str, text: str, command: str, now: datetime) -> Iterator[Finding]:
    """A server's certificate and what stands between it and its authority: each must be valid."""
    what = "the serving certificate"
    if certificates := read(text, encoded=True):
        yield from _check_dates(
            named, what, certificates, min(one.not_valid_after_utc for one in certificates), command, now
        )
    else:
        yield Finding(about=About.CERTIFICATE, object=named, says=f"{what} is no certificate in PEM", next=command)


def _of_the_ca(one: APIService, secret: str, text: str) -> Iterator[Finding]:
    chain, authorities = read(text, encoded=True), read(one.spec.ca_bundle, encoded=True)
    if not chain or not authorities or any(_is_issued_by(leaf, by) for leaf in chain for by in authorities):
        return
    yield Finding(
        about=About.CERTIFICATE,
        object=f"APIService {one.metadata.name}",
        says=f"its caBundle is not the CA of the certificate in Secret {secret}: the API server refuses the adapter",
        next=f"kubectl get apiservice {word(one.metadata.name)} -o yaml | grep -e inject-ca-from -e caBundle",
    )


def _is_issued_by(leaf: x509.Certificate, by: x509.Certificate) -> bool:
    if leaf == by:
        return True
    try:
        leaf.verify_directly_issued_by(by)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def read(text: str, *, encoded: bool) -> Sequence[x509.Certificate]:
    """The certificates of a PEM, `encoded` in base64 or not; none where it is no PEM."""
    try:
        data = base64.b64decode(text, validate=True) if encoded else text.encode()
        return x509.load_pem_x509_certificates(data)[:MOST]
    except (ValueError, binascii.Error, x509.InvalidVersion):
        return []
