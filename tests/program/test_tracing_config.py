"""--tracing-config-file: what Kubernetes' own components take is taken; what is wrong is named with its field."""

import re
from pathlib import Path

import pytest

from adapter.program.flags import SettingsError
from adapter.program.tracing.config import GRPC, MOST_BYTES, Tracing, load, read, resource

HEAD = "apiVersion: apiserver.config.k8s.io/v1beta1\nkind: TracingConfiguration\n"


def test_kubernetes_own_example_is_understood() -> None:
    """Of its page on traces of system components: the endpoint is OTLP's port for gRPC."""
    config = read(HEAD + "# default value\n#endpoint: localhost:4317\nsamplingRatePerMillion: 100\n")
    assert (config.endpoint, config.url, config.sampling_rate_per_million) == (GRPC, "", 100)


def test_without_a_rate_only_callers_decide() -> None:
    assert read(HEAD).sampling_rate_per_million == 0


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("collector.observability:4317", ""),
        ("dns:///collector:4317", ""),
        ("unix:///run/otel.sock", ""),
        ("[::1]:4317", ""),
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector/otlp/", "https://collector/otlp/v1/traces"),
        ("http://collector:4318/v1/traces", "http://collector:4318/v1/traces"),
    ],
)
def test_an_endpoint_says_how_it_is_spoken_to(endpoint: str, url: str) -> None:
    assert read(f"{HEAD}endpoint: '{endpoint}'\n").url == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "samplingRatePerMillion: 2000000\n", "`int` <= 1000000 - at `$.samplingRatePerMillion`"),
        (HEAD + "samplingRatePerMillion: many\n", "Expected `int`, got `str` - at `$.samplingRatePerMillion`"),
        (HEAD + "sampling: 1\n", "unknown field `sampling`"),
        ("kind: TracingConfiguration\n", "missing required field `apiVersion`"),
        (HEAD.replace("Tracing", "Egress"), "$.kind"),
        (HEAD.replace("apiserver.config", "kubelet.config"), "$.apiVersion"),
        (HEAD + "endpoint: ftp://collector\n", "endpoint: the scheme ftp is not known; host:4317 or"),
        (HEAD + "endpoint: http://\n", "endpoint: it names no host"),
        (HEAD + "endpoint: 'a host:4317'\n", "endpoint: it names no host"),
        (HEAD + "endpoint: 'collector:port'\n", "endpoint: it is no address"),
        ("a: [", "it is no YAML"),
        ("", "Expected `object`, got `null`"),
        (20 * "[" + 20 * "]", "it is more than 4 levels deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read(text)


def test_a_password_in_an_endpoint_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="credentials") as told:
        read(HEAD + "endpoint: http://me:hunter2@collector:4318\n")
    assert "hunter2" not in str(told.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tracing.yaml"
    for content, said in ((None, "No such file"), (b"\xff", "not UTF-8"), (b"#" * (MOST_BYTES + 1), "more than")):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SettingsError, match=rf"^--tracing-config-file={file}: .*{said}"):
            load(str(file))
    file.write_text(HEAD)
    assert load(str(file)) == Tracing("apiserver.config.k8s.io/v1beta1", "TracingConfiguration")


def test_who_sends_is_the_pod_where_it_is_known() -> None:
    known = {"service.name": "streamgate-adapter", "service.version": "1.0"}
    assert resource({}, "host", service="streamgate-adapter", version="1.0") == known | {"service.instance.id": "host"}
    of_pod = resource({"POD_NAME": "adapter-1"}, "host", service="streamgate-adapter", version="1.0")
    assert of_pod == known | {"service.instance.id": "adapter-1", "k8s.pod.name": "adapter-1"}
