"""--tracing-config-file: a TracingConfiguration, as kube-apiserver and the kubelet take it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
import yaml

from adapter.files import read_text
from adapter.program.flags import Common, SettingsError, setting
from adapter.spans import MILLION
from adapter.units.yamltext import YamlError, check_nesting

MOST_BYTES: Final = 1 << 16
"""Of the file."""
_NESTED: Final = 4
GRPC: Final = "localhost:4317"
"""Where Kubernetes' components send to when the file names no endpoint: OTLP's port for gRPC."""
_GRPC_SCHEMES: Final = ("dns", "unix", "unix-abstract")


@dataclass(frozen=True)
class TracingSettings(Common):
    """The flag of traces."""

    tracing_config_file: str = setting(
        "tracing-config-file",
        "",
        "a TracingConfiguration, as of Kubernetes' own components: where spans go, and how many; none: no traces",
    )


class Tracing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """k8s.io/apiserver's TracingConfiguration."""

    api_version: Annotated[str, msgspec.Meta(pattern=r"^apiserver(\.config)?\.k8s\.io/v1(alpha1|beta1)?$")]
    kind: Literal["TracingConfiguration"]
    endpoint: str = GRPC
    """`host:port` for OTLP over gRPC without TLS, as Kubernetes has it; `http://` or `https://` for OTLP over HTTP."""
    sampling_rate_per_million: Annotated[int, msgspec.Meta(ge=0, le=MILLION)] = 0
    """Of traces that no caller decided on; unset: what callers sample is, and nothing else."""

    @property
    def url(self) -> str:
        """Where OTLP/HTTP goes to; empty: the endpoint is one of gRPC."""
        if not self.endpoint.startswith(("http://", "https://")):
            return ""
        return self.endpoint if self.endpoint.endswith("/v1/traces") else self.endpoint.rstrip("/") + "/v1/traces"


def read(text: str) -> Tracing:
    """The configuration in `text`. Raises ValueError of one sentence."""
    try:
        check_nesting(text, _NESTED)
        config = msgspec.yaml.decode(text, type=Tracing)
    except (msgspec.ValidationError, YamlError) as error:
        raise ValueError(str(error)) from None
    except (msgspec.DecodeError, yaml.YAMLError):
        raise ValueError("it is no YAML") from None
    if objection := _objection(config.endpoint):
        raise ValueError(f"endpoint: {objection}; host:4317 or http://host:4318 would be right")
    return config


def _objection(endpoint: str) -> str:
    """What is wrong with it; it is not repeated, as it may hold a password."""
    try:
        parts = urlsplit(endpoint if "//" in endpoint else f"dns://{endpoint}")
        _ = parts.port
    except ValueError:
        return "it is no address"
    if parts.username is not None or parts.query or parts.fragment:
        return "credentials and parameters have no place there"
    if parts.scheme not in ("http", "https", *_GRPC_SCHEMES):
        return f"the scheme {parts.scheme[:20]} is not known"
    if not (parts.hostname or parts.path.strip("/")) or any(sign <= " " for sign in endpoint):
        return "it names no host"
    return ""


def load(file: str) -> Tracing:
    """The configuration of a file. Raises SettingsError."""
    try:
        return read(read_text(file, MOST_BYTES))
    except UnicodeDecodeError:
        why = "it is not UTF-8"
    except OSError as error:
        why = error.strerror or str(error)
    except ValueError as error:
        why = str(error)
    raise SettingsError(f"--tracing-config-file={file}: {why}")


def resource(environ: Mapping[str, str], host: str, *, service: str, version: str) -> dict[str, str]:
    """Who sends, as a resource's attributes; a pod is known by POD_NAME."""
    pod = environ.get("POD_NAME", "")
    known = {"service.name": service, "service.version": version, "service.instance.id": pod or host}
    return known | ({"k8s.pod.name": pod} if pod else {})
