"""Which form a client gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.serve.negotiate import AS_IS, DISCOVERY, TABLES, Choice, Media, accepts_gzip, negotiate

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", Media.JSON),
        ("*/*", Media.JSON),
        ("application/*", Media.JSON),
        ("application/vnd.kubernetes.protobuf, */*", Media.PROTOBUF),
        ("application/vnd.kubernetes.protobuf", Media.PROTOBUF),
        ("application/json, application/vnd.kubernetes.protobuf", Media.JSON),
        ("application/json;q=0.5, application/vnd.kubernetes.protobuf", Media.PROTOBUF),
        ("*/*, application/yaml", Media.YAML),
        ("application/yaml", Media.YAML),
        ("APPLICATION/JSON; charset=utf-8", Media.JSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", Media.JSON),
        ("application/cbor, application/json", Media.JSON),
        (f"{TABLE},application/json", Media.JSON),
        ("application/json;q=nonsense", Media.JSON),
    ],
)
def test_the_best_of_what_is_accepted(accept: str, media: Media) -> None:
    assert negotiate(accept) == Choice(media)


@pytest.mark.parametrize(
    "accept", ["text/html", "application/cbor", TABLE, "application/json;q=0", "application/json;stream=watch"]
)
def test_nothing_fits(accept: str) -> None:
    assert negotiate(accept) is None


def test_a_transform_counts_only_where_it_is_on_offer() -> None:
    assert negotiate(TABLE, TABLES) == Choice(Media.JSON, TABLES[0])
    assert negotiate(TABLE.replace("v=v1;", "v=v1beta1;"), TABLES) == Choice(Media.JSON, TABLES[1])
    assert negotiate(TABLE, DISCOVERY) is None
    assert negotiate(f"{AGGREGATED},application/json", DISCOVERY) == Choice(Media.JSON, DISCOVERY[0])
    assert negotiate(f"application/vnd.kubernetes.protobuf;{TABLE.partition(';')[2]}", TABLES) is None


def test_pretty_can_be_asked_for_in_the_header() -> None:
    assert negotiate("application/json;pretty=1") == Choice(Media.JSON, AS_IS, pretty=True)


@pytest.mark.parametrize(
    ("header", "takes"),
    [("gzip", True), ("gzip;q=0", False), ("deflate, gzip;q=0.1", True), ("*", True), ("identity", False), ("", False)],
)
def test_gzip(header: str, takes: bool) -> None:
    assert accepts_gzip(header) is takes


@given(st.text(max_size=300))
def test_no_header_is_too_odd(header: str) -> None:
    choice = negotiate(header, TABLES)
    assert choice is None or choice.media in Media
