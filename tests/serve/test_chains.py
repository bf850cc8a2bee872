"""Which CA vouches for a client's certificate: chains, times, usages."""

import datetime
import ssl
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from adapter.doctor.checks.certificates import read
from adapter.serve.chains import BundleError, Pool, Presented

NOW = 1795396678.0
DAY = 86400.0
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(4)]  # made once: keys are what costs time


class Authority:
    """A CA whose name and key are chosen, to make two of one name."""

    def __init__(self, name: str, key: int, parent: "Authority | None" = None, path_length: int | None = None) -> None:
        self.name, self.key = _name(name), KEYS[key]
        self.certificate = (parent or self).sign(
            self.name, self.key, x509.BasicConstraints(ca=True, path_length=path_length), usages=None
        )

    @property
    def pool(self) -> Pool:
        return Pool(self.certificate.public_bytes(Encoding.PEM))

    def sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        constraints: x509.BasicConstraints,
        usages: list[ObjectIdentifier] | None,
        start: float = NOW - DAY,
        end: float = NOW + DAY,
        extra: x509.ExtensionType | None = None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(datetime.datetime.fromtimestamp(start, datetime.UTC))
            .not_valid_after(datetime.datetime.fromtimestamp(end, datetime.UTC))
            .add_extension(constraints, critical=True)
        )
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if extra is not None:
            builder = builder.add_extension(extra, critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def leaf(self, name: str = "front-proxy", usages: list[ObjectIdentifier] | None = None, **times: Any) -> bytes:
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] if usages is None else usages
        leaf = x509.BasicConstraints(ca=False, path_length=None)
        return self.sign(_name(name), KEYS[3], leaf, usages, **times).public_bytes(Encoding.DER)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


ROOT = Authority("root", 0)
OTHER = Authority("other", 1)
NAMESAKE = Authority("root", 1)


def test_a_ca_vouches_for_what_it_signed_and_no_other_does() -> None:
    presented = Presented([ROOT.leaf()])
    assert presented.is_verified_by(ROOT.pool, NOW)
    assert not presented.is_verified_by(OTHER.pool, NOW)


def test_a_ca_of_the_same_name_with_another_key_does_not_vouch() -> None:
    presented = Presented([ROOT.leaf()])
    assert not presented.is_verified_by(NAMESAKE.pool, NOW)
    both = Pool(NAMESAKE.pool.pem + ROOT.pool.pem)
    assert presented.is_verified_by(both, NOW)


def test_times_are_those_of_the_leaf_and_of_everything_above_it() -> None:
    presented = Presented([ROOT.leaf(start=NOW - 60, end=NOW + 60)])
    assert presented.is_verified_by(ROOT.pool, NOW + 59)
    assert not presented.is_verified_by(ROOT.pool, NOW + 60)
    assert not Presented([ROOT.leaf(start=NOW + 1)]).is_verified_by(ROOT.pool, NOW)
    assert not Presented([ROOT.leaf(end=NOW + 9 * DAY)]).is_verified_by(ROOT.pool, NOW + 2 * DAY)  # the root ended


def test_a_verdict_that_is_remembered_ends_with_the_certificate() -> None:
    presented, pool = Presented([ROOT.leaf(end=NOW + 60)]), ROOT.pool
    assert presented.is_verified_by(pool, NOW)
    assert not presented.is_verified_by(pool, NOW + 61)


def test_a_refusal_is_not_remembered_for_long() -> None:
    presented, pool = Presented([ROOT.leaf(start=NOW + 5)]), ROOT.pool
    assert not presented.is_verified_by(pool, NOW)
    assert presented.is_verified_by(pool, NOW + 11)


def test_a_chain_through_an_intermediate_needs_it_to_be_shown() -> None:
    middle = Authority("middle", 2, ROOT)
    assert Presented([middle.leaf(), middle.der]).is_verified_by(ROOT.pool, NOW)
    assert not Presented([middle.leaf()]).is_verified_by(ROOT.pool, NOW)
    assert Presented([middle.leaf()]).is_verified_by(middle.pool, NOW)  # a bundle may hold the intermediate alone


def test_a_path_length_of_zero_allows_no_ca_below() -> None:
    short = Authority("short", 2, path_length=0)
    below = Authority("below", 1, short)
    assert not Presented([below.leaf(), below.der]).is_verified_by(short.pool, NOW)
    assert Presented([short.leaf()]).is_verified_by(short.pool, NOW)


def test_what_is_no_ca_cannot_sign() -> None:
    plain = ROOT.sign(_name("plain"), KEYS[2], x509.BasicConstraints(ca=False, path_length=None), None)
    impostor = Authority("plain", 2)
    shown = [impostor.leaf(), plain.public_bytes(Encoding.DER)]
    assert not Presented(shown).is_verified_by(ROOT.pool, NOW)


@pytest.mark.parametrize(
    ("usages", "good"),
    [
        ([ExtendedKeyUsageOID.CLIENT_AUTH], True),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], True),
        ([ExtendedKeyUsageOID.SERVER_AUTH], False),
        ([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], True),
    ],
)
def test_the_extended_key_usage_must_allow_clients(usages: list[ObjectIdentifier], good: bool) -> None:
    assert Presented([ROOT.leaf(usages=usages)]).is_verified_by(ROOT.pool, NOW) is good


def test_a_critical_extension_that_we_do_not_know_is_no_certificate_for_us() -> None:
    odd = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    leaf = ROOT.sign(_name("odd"), KEYS[3], x509.BasicConstraints(ca=False, path_length=None), None, extra=odd)
    assert not Presented([leaf.public_bytes(Encoding.DER)]).is_verified_by(ROOT.pool, NOW)


def test_a_ring_of_cas_ends() -> None:
    first, second = Authority("one", 1), Authority("two", 2)
    loop = [
        second.sign(first.name, first.key, x509.BasicConstraints(ca=True, path_length=None), None),
        first.sign(second.name, second.key, x509.BasicConstraints(ca=True, path_length=None), None),
    ]
    shown = [first.leaf(), *(certificate.public_bytes(Encoding.DER) for certificate in loop)]
    assert not Presented(shown).is_verified_by(ROOT.pool, NOW)


@pytest.mark.parametrize(("false_starts", "good"), [(6, True), (7, False)])
def test_a_stranger_cannot_have_more_than_32_signatures_checked(false_starts: int, good: bool) -> None:
    """Each false start is a true issuer of the leaf (1) that none of 4 namesakes of its own issuer signed (4).

    Then the true chain: the leaf by its issuer, and that by the root. 6 x 5 + 2 = 32 are enough, 7 x 5 + 2 are not.
    """
    upper, middle = Authority("upper", 1), Authority("middle", 2, ROOT)
    starts = [Authority("middle", 2, upper).der for _ in range(false_starts)]
    namesakes = [Authority("upper", 0).der for _ in range(4)]
    assert Presented([middle.leaf(), *starts, *namesakes, middle.der]).is_verified_by(ROOT.pool, NOW) is good


@pytest.mark.parametrize(("strangers", "good"), [(14, True), (15, False)])
def test_of_what_is_shown_the_first_16_certificates_are_read(strangers: int, good: bool) -> None:
    """The leaf, 14 strangers and its issuer are 16."""
    middle = Authority("middle", 2, ROOT)
    shown = [middle.leaf(), *(Authority("stranger", 1).der for _ in range(strangers)), middle.der]
    assert Presented(shown).is_verified_by(ROOT.pool, NOW) is good


def test_the_subject_gives_name_groups_and_uid() -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "ann"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "dev"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ops"),
            x509.NameAttribute(ObjectIdentifier("1.3.6.1.4.1.57683.2"), "u-1"),
        ]
    )
    leaf = ROOT.sign(subject, KEYS[3], x509.BasicConstraints(ca=False, path_length=None), None)
    presented = Presented([leaf.public_bytes(Encoding.DER)])
    assert (presented.common_name, presented.organizations, presented.uid) == ("ann", ("dev", "ops"), "u-1")


UID = ObjectIdentifier("1.3.6.1.4.1.57683.2")
CN, ORG = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME


def present_name(*parts: x509.RelativeDistinguishedName) -> Presented:
    leaf = ROOT.sign(x509.Name(parts), KEYS[3], x509.BasicConstraints(ca=False, path_length=None), None)
    return Presented([leaf.public_bytes(Encoding.DER)])


@pytest.mark.parametrize(
    ("attributes", "name", "groups", "uid"),
    [
        ([(CN, "admin"), (CN, "ann")], "ann", (), ""),
        ([(CN, "ann"), (ORG, "dev"), (CN, "bob")], "bob", ("dev",), ""),
        ([(ORG, "dev"), (ORG, "dev")], "", ("dev", "dev"), ""),
        ([(CN, "ann"), (UID, "1"), (UID, "2")], "ann", (), None),
    ],
    ids=["the last of two", "with others between", "no common name", "two UIDs"],
)
def test_several_attributes_of_a_kind_are_read_as_go_reads_them(
    attributes: list[tuple[ObjectIdentifier, str]], name: str, groups: tuple[str, ...], uid: str | None
) -> None:
    """crypto/x509/pkix, FillFromRDNSequence: the last common name, all organisations; Kubernetes refuses two UIDs."""
    certificate = present_name(*(x509.RelativeDistinguishedName([x509.NameAttribute(*one)]) for one in attributes))
    assert (certificate.common_name, certificate.organizations, certificate.uid) == (name, groups, uid)


def test_common_names_in_one_set_are_in_the_order_of_their_encoding() -> None:
    """DER sorts a set: "ann" comes before "admin", which is longer."""
    both = x509.RelativeDistinguishedName([x509.NameAttribute(CN, "admin"), x509.NameAttribute(CN, "ann")])
    assert present_name(both).common_name == "admin"


@pytest.mark.parametrize(
    "pem", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_bundle_that_is_none_is_refused_in_words(pem: bytes) -> None:
    with pytest.raises(BundleError, match="the CA bundle"):
        Pool(pem)


def test_a_certificate_of_a_version_that_there_is_not_is_no_certificate() -> None:
    """The library has an error of its own for it: version 3 is written as 2, here it is 59."""
    der = x509.load_pem_x509_certificate(trustme.CA().cert_pem.bytes()).public_bytes(Encoding.DER)
    assert der.count(b"\xa0\x03\x02\x01\x02") == 1
    odd = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x3b")
    with pytest.raises(ValueError, match="59 is not a valid X509 version"):
        Presented([odd])
    text = ssl.DER_cert_to_PEM_cert(odd)
    with pytest.raises(BundleError, match="the CA bundle is not PEM certificates: 59 is not a valid X509 version"):
        Pool(text.encode())
    assert read(text, encoded=False) == []
