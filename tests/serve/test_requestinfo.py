"""What a request is about: the cases of k8s.io/apiserver's own rules that matter here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.serve.requestinfo import RequestError, read_request

C = "/apis/custom.metrics.k8s.io/v1beta2"
E = "/apis/external.metrics.k8s.io/v1beta1"
R = "/apis/metrics.k8s.io/v1beta1"


@pytest.mark.parametrize(
    ("target", "verb", "namespace", "resource", "subresource", "name"),
    [
        (f"{C}/namespaces/ns/pods/*/m", "get", "ns", "pods", "m", "*"),
        (f"{C}/namespaces/ns/pods/%2A/m/", "get", "ns", "pods", "m", "*"),
        (f"{C}/namespaces/ns/deployments.apps/web/m", "get", "ns", "deployments.apps", "m", "web"),
        (f"{C}/namespaces/ns/metrics/m", "get", "ns", "metrics", "", "m"),
        (f"{C}/nodes/n1/m", "get", "", "nodes", "m", "n1"),
        (f"{E}/namespaces/ns/queue?labelSelector=a%3Db", "list", "ns", "queue", "", ""),
        (f"{R}/pods", "list", "", "pods", "", ""),
        (f"{R}/pods?watch=true", "watch", "", "pods", "", ""),
        (f"{R}/pods?watch=0", "list", "", "pods", "", ""),
        (f"{R}/pods?fieldSelector=metadata.name%3Dp", "list", "", "pods", "", "p"),
        (f"{R}/namespaces/ns/pods/p", "get", "ns", "pods", "", "p"),
        (f"{R}/namespaces/ns", "get", "ns", "namespaces", "", "ns"),
        (f"{R}/namespaces/ns/status", "get", "ns", "namespaces", "status", "ns"),
    ],
)
def test_resources(target: str, verb: str, namespace: str, resource: str, subresource: str, name: str) -> None:
    info = read_request("GET", target)
    assert info.is_resource
    assert (info.verb, info.namespace, info.resource, info.subresource, info.name) == (
        verb,
        namespace,
        resource,
        subresource,
        name,
    )


@pytest.mark.parametrize(
    "target",
    ["/", "/apis", "/apis/g", "/apis/g/v", "/apis/g/v/", "/healthz", "/nope/a/b/c/d", f"{C}//pods/*/m", "//apis"],
)
def test_paths_that_are_no_resource(target: str) -> None:
    info = read_request("GET", target)
    assert not info.is_resource
    assert info.verb == "get"


@pytest.mark.parametrize(
    ("method", "target", "verb"),
    [
        ("POST", f"{R}/pods", "create"),
        ("PUT", f"{R}/nodes/n", "update"),
        ("PATCH", f"{R}/nodes/n", "patch"),
        ("DELETE", f"{R}/nodes/n", "delete"),
        ("DELETE", f"{R}/nodes", "deletecollection"),
        ("HEAD", f"{R}/nodes/n", "get"),
        ("BREW", f"{R}/nodes/n", ""),
    ],
)
def test_verbs(method: str, target: str, verb: str) -> None:
    assert read_request(method, target).verb == verb


def test_selectors_are_for_authorisation_only_where_many_objects_are_asked_for() -> None:
    assert read_request("GET", f"{E}/namespaces/ns/queue?labelSelector=a%3Db").label_selector == "a=b"
    assert read_request("GET", f"{C}/namespaces/ns/pods/*/m?labelSelector=a%3Db").label_selector == ""


def test_the_path_is_decoded_and_a_slash_in_a_name_stays_in_it() -> None:
    info = read_request("GET", "/explain/a%2Fb/c%20d?x=1")
    assert info.path == "/explain/a/b/c d"
    assert info.segments == ("explain", "a/b", "c d")
    assert info.parameter("x") == "1"


@pytest.mark.parametrize("target", ["", "*", "http://x/apis", "/?" + "a=1&" * 40])
def test_request_lines_that_cannot_be_read(target: str) -> None:
    with pytest.raises(RequestError):
        read_request("GET", target)


@given(st.text(max_size=200))
def test_any_path_has_a_meaning(text: str) -> None:
    try:
        info = read_request("GET", "/" + text)
    except RequestError:
        return
    assert info.path.startswith("/")
