"""The serving certificate: self-made, kept, given; and the ciphers."""

import contextlib
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509

from adapter.serve.certs import RENEWAL, VALIDITY, CertificateError, load_or_make, make_pair, read_pair
from adapter.serve.tls import CIPHERS, FilePair, SelfMadePair, Tls, cipher_string
from adapter.serve.trust import Trust
from adapter.serve.wire import Duration, moment

NOW = 1795396678.0
NAMES = ["adapter.monitoring.svc", "10.244.0.1", "::1"]


def test_a_self_made_certificate_verifies_by_its_own_ca_for_its_names() -> None:
    leaf, ca = x509.load_pem_x509_certificates(make_pair(NAMES, NOW).certificate)
    leaf.verify_directly_issued_by(ca)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["adapter.monitoring.svc"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.244.0.1", "::1"]
    issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert issuer.key_identifier == ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def test_a_strict_client_shakes_hands_with_it() -> None:
    pair = make_pair(NAMES, time.time())
    client = ssl.create_default_context(cadata=pair.certificate.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=NAMES[0]),
        Tls(pair, Trust()).context.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(3):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    assert ends[0].version() == ends[1].version() == "TLSv1.3"
    assert ends[0].selected_alpn_protocol() is None  # the client named none


def test_a_folder_keeps_the_certificate_until_it_ends_or_has_not_all_names(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    first = load_or_make(folder, NAMES, NOW)
    assert (folder / "apiserver.key").stat().st_mode & 0o077 == 0
    assert load_or_make(folder, NAMES[:1], NOW + 86400) == first
    assert load_or_make(folder, [*NAMES, "other"], NOW) != first
    second = load_or_make(folder, NAMES, NOW)
    assert load_or_make(folder, NAMES, NOW + VALIDITY - RENEWAL) != second


def test_a_folder_that_cannot_be_written_leaves_it_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    pair = load_or_make(tmp_path / "file" / "certificates", NAMES, NOW)
    assert pair.expires > NOW


def test_a_self_made_certificate_is_renewed_in_time(tmp_path: Path) -> None:
    now = [NOW]
    source = SelfMadePair(tmp_path, NAMES, lambda: now[0])
    first = source.load()
    assert source.load() is None
    now[0] = NOW + VALIDITY - RENEWAL + 1
    second = source.load()
    assert first is not None
    assert second is not None
    assert second.expires > first.expires


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [
        (None, b"x", "tls.crt: cannot be read: No such file"),
        (b"x", b"x", "tls.crt: is no PEM certificate"),
        (make_pair(["a"], NOW).certificate, b"x", "tls.key: is no PEM private key without a password"),
        (make_pair(["a"], NOW).certificate, make_pair(["b"], NOW).key, "tls.key: is not the key of the certificate"),
    ],
)
def test_files_that_are_of_no_use_are_refused_by_name(
    tmp_path: Path, certificate: bytes | None, key: bytes, says: str
) -> None:
    files = (tmp_path / "tls.crt", tmp_path / "tls.key")
    if certificate is not None:
        files[0].write_bytes(certificate)
    files[1].write_bytes(key)
    with pytest.raises(CertificateError, match=says):
        read_pair(*files)
    with pytest.raises(CertificateError):
        FilePair(*files).load()


def test_every_cipher_that_has_a_name_is_one_that_openssl_knows() -> None:
    for name in CIPHERS:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(cipher_string([name]))
    assert cipher_string(["TLS_AES_128_GCM_SHA256"]) == ""
    with pytest.raises(ValueError, match="--tls-cipher-suites: TLS_NOPE is not known"):
        cipher_string(["TLS_NOPE"])


def test_versions_and_ciphers_reach_the_context() -> None:
    suites = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
    context = Tls(make_pair(["a"], NOW), Trust(), "VersionTLS13", suites).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    names = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert names == {"ECDHE-ECDSA-AES128-GCM-SHA256"}
    with pytest.raises(ValueError, match="--tls-min-version: VersionTLS11 is not spoken"):
        Tls(make_pair(["a"], NOW), Trust(), "VersionTLS11")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (30, "30s"), (300, "5m0s"), (90.5, "1m30.5s"), (3600, "1h0m0s"), (3661.25, "1h1m1.25s"), (-1, "0s")],
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert str(Duration(seconds)) == text


def test_times_stay_within_what_can_be_written() -> None:
    assert moment(-5).isoformat() == "1970-01-01T00:00:00+00:00"
    assert moment(10**15).year == 9999
