"""How https is spoken to pods of a policy: whose certificate is wanted, and who vouches for it. Pure.

A CA stands in the policy itself (`caBundle`, as in Kubernetes' own objects): it is no secret, and no right on other
objects is wanted for it.
"""

import base64
import binascii
import re
import ssl
from typing import Final

import msgspec

from adapter.rollout.model.fields import Fields

MOST_CA: Final = 32768
"""Characters of a caBundle."""
TLS: Final = ("serverName", "caBundle", "insecureSkipVerify")
SCHEME: Final = re.compile(r"HTTPS?\Z")
HOST: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?\Z")
NO_CA: Final = "it holds no certificate; right would be certificates in PEM, in base64"

_BASE64: Final = re.compile(rf"[A-Za-z0-9+/=\s]{{0,{MOST_CA}}}\Z")


class Tls(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`server_name`: in the certificate, `host` where it is empty; no `ca_bundle`: the authorities of the system."""

    server_name: str = ""
    ca_bundle: str = ""
    insecure_skip_verify: bool = False
    """As the kubelet's probes: no certificate is looked at."""


def authorities(ca_bundle: str) -> str:
    """The certificates of a caBundle, PEM. Raises ValueError where there is none."""
    try:
        text = base64.b64decode("".join(ca_bundle.split()), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)  # SSLError is none of ValueError's
    return text


def is_ca(ca_bundle: str) -> bool:
    """Whether there is a certificate in it."""
    try:
        return bool(authorities(ca_bundle))
    except (ValueError, ssl.SSLError):
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
        bundle = tls.text("caBundle", _BASE64, f"at most {MOST_CA} characters of base64")
        if bundle and not is_ca(bundle):
            tls.wrong("caBundle", NO_CA)
        if not https:
            fields.wrong("tls", "it is for scheme HTTPS, which is not given")
        named = named or tls.has("serverName") or tls.is_true("insecureSkipVerify")
    if https and not named:
        fields.wrong("tls", "no name to verify; right would be tls.serverName, a host, or tls.insecureSkipVerify: true")
