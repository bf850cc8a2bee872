"""Which proxy Prometheus is asked through, by the environment: as Go's HTTP clients read it."""

import pytest

from adapter.metrics.prometheus.proxy import ProxyError, proxy_for

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("http://p:9090", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://p:9090", {"http_proxy": PROXY}, PROXY),
        ("http://p:9090", {"HTTPS_PROXY": PROXY}, ""),
        ("https://p:9090", {"HTTPS_PROXY": PROXY, "HTTP_PROXY": "http://other"}, PROXY),
        ("https://p:9090", {"https_proxy": "proxy:3128"}, PROXY),
        ("https://p:9090", {"HTTPS_PROXY": "https://u:p@proxy:3128"}, "https://u:p@proxy:3128"),
        ("http://p:9090", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, ""),
        ("http://p:9090", {"HTTP_PROXY": ""}, ""),
        ("http://localhost:9090", {"HTTP_PROXY": PROXY}, ""),
        ("http://127.1.2.3:9090", {"HTTP_PROXY": PROXY}, ""),
        ("http://[::1]:9090", {"HTTP_PROXY": PROXY}, ""),
    ],
)
def test_the_environment_names_the_proxy(url: str, environ: dict[str, str], proxy: str) -> None:
    assert proxy_for(url, environ) == proxy


@pytest.mark.parametrize(
    ("host", "exceptions", "direct"),
    [
        ("prometheus.monitoring.svc", ".svc", True),
        ("prometheus.monitoring.svc", "*.svc", True),
        ("prometheus.monitoring.svc", "monitoring.svc", True),
        ("PROMETHEUS.monitoring.svc", "Monitoring.SVC", True),
        ("monitoring.svc", "monitoring.svc", True),
        ("monitoring.svc", ".monitoring.svc", False),
        ("xmonitoring.svc", "monitoring.svc", False),
        ("monitoring.svc", "other, *", True),
        ("monitoring.svc", "monitoring.svc:9090", True),
        ("monitoring.svc", "monitoring.svc:80", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:80", False),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]", "fd00::1", True),
        ("[fd00::1]", "[fd00::1]:9090", True),
        ("monitoring.svc", "10.0.0.0/8,,:80,/,[", False),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(host: str, exceptions: str, direct: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        proxy = proxy_for(f"http://{host}:9090", {"HTTP_PROXY": PROXY, name: exceptions})
        assert proxy == ("" if direct else PROXY)


@pytest.mark.parametrize("text", ["socks5://proxy:1080", "http://", "http://u:s3cret@[::1", "http://u:s3cret@h:x"])
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(text: str) -> None:
    with pytest.raises(ProxyError, match="HTTP_PROXY gives no proxy that can be used") as raised:
        proxy_for("http://p:9090", {"HTTP_PROXY": text})
    assert "s3cret" not in str(raised.value)
