"""How https is spoken to pods of a policy: whose certificate is wanted, and who vouches for it. Pure.

A CA stands in the policy itself (`caBundle`, as in Kubernetes' own objects): it is no secret, and no right on other
objects is wanted for it.
"""

import base64
import re
from typing import Final

import msgspec

from adapter.rollout.model.fields import Fields

MOST_CA: Final = 32768
"""Characters of a caBundle."""
TLS: Final = ("serverName", "caBundle", "insecureSkipVerify")
SCHEME: Final = re.compile(r"HTTPS?\Z")
HOST: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?\Z")
NO_CA: Final = "it holds no certificate; right would be certificates in PEM, in base64"

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_BASE64: Final = re.compile(
    rf"(?=.{{1,{MOST_CA}}}\Z)(?:[A-Za-z0-9+/]{{4}})*+(?:[A-Za-z0-9+/]{{2}}==|[A-Za-z0-9+/]{{3}}=)?\Z"
)
"""As the API server has it: in one line, without blanks."""


class Tls(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`server_name`: in the certificate, `host` where it is empty; no `ca_bundle`: the authorities of the system."""

    server_name: str = ""
    ca_bundle: str = ""
    insecure_skip_verify: bool = False
    """As the kubelet's probes: no certificate is looked at."""


def authorities(ca_bundle: str) -> str:
    """The certificates of a caBundle, PEM. Raises ValueError where there is none."""
    text = base64.b64decode("".join(ca_bundle.split()), validate=True).decode("ascii")
    certificates = _PEM.findall(text)
    if not certificates or not all(
        _is_der(base64.b64decode("".join(each.split()), validate=True)) for each in certificates
    ):
        raise ValueError(NO_CA)
    return text


def _is_der(data: bytes) -> bool:
    """Whether it is one ASN.1 sequence of its own length, as a certificate is (X.690, 8.1.3)."""
    if len(data) < 2 or data[0] != 0x30:
        return False
    more = data[1] & 0x7F if data[1] & 0x80 else 0
    length = int.from_bytes(data[2 : 2 + more], "big") if more else data[1]
    return len(data) == 2 + more + length


def is_ca(ca_bundle: str) -> bool:
    """Whether there is a certificate in it, and nothing that is none."""
    try:
        return bool(authorities(ca_bundle))
    except ValueError:  # binascii.Error and UnicodeDecodeError are such
        return False


def problems(fields: Fields) -> None:
    """Says what is wrong with `scheme` and `tls` beside a `host`, in a raw policy."""
    https = fields.text("scheme", SCHEME, "HTTP or HTTPS") == "HTTPS"
    tls = fields.mapping("tls", "{serverName: web.shop.svc, caBundle: BASE64}")
    named = fields.has("host")
    if tls is not None:
        tls.only(TLS)
        tls.text("serverName", HOST, "a host's name that stands in the certificate")
        tls.flag("insecureSkipVerify")
        bundle = tls.text("caBundle", _BASE64, f"at most {MOST_CA} characters of base64, in one line")
        if bundle and not is_ca(bundle):
            tls.wrong("caBundle", NO_CA)
        if not https:
            fields.wrong("tls", "it is for scheme HTTPS, which is not given; right would be both, or neither")
        named = named or tls.has("serverName") or tls.is_true("insecureSkipVerify")
    if https and not named:
        fields.wrong("tls", "no name to verify; right would be tls.serverName, a host, or tls.insecureSkipVerify: true")
