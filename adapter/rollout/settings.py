"""Every setting of the controller: flag, default, unit, reason. The names are those of Kubernetes' own controllers."""

# ruff: noqa: RUF009 - `setting` makes the field; it is not a default value

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from adapter import __version__
from adapter.program.flags import Flags, setting
from adapter.program.ignored import KLOG
from adapter.program.kinds import Address, Seconds
from adapter.program.leader import LeaderSettings, check
from adapter.program.tracing.config import TracingSettings


@dataclass(frozen=True)
class Settings(LeaderSettings, TracingSettings):
    """All settings; a field's metadata holds its flag and its meaning."""

    namespace: str = setting("namespace", "", "the only namespace to serve; empty: all")
    kubeconfig: str = setting("kubeconfig", "", "file with cluster and credentials; empty: in-cluster")
    kube_api_qps: float = setting(
        "kube-api-qps", 50.0, "requests per second to the API server; a release takes about 15", above=0
    )
    kube_api_burst: float = setting("kube-api-burst", 100.0, "requests that may be sent at once", least=1)
    address: Address = setting("address", Address(":8944"), "where /metrics and /healthz are served")
    allowed_networks: tuple[str, ...] = setting(
        "allowed-networks", (), "such as 169.254.10.0/24: URLs of policies may reach them although they are link-local"
    )
    prometheus_url: str = setting(
        "prometheus-url", "", "Prometheus' HTTP API for gates by query, several by commas; empty: no such gates"
    )
    prometheus_token_file: str = setting(
        "prometheus-token-file", "", "bearer token for Prometheus, read again when it changes"
    )
    prometheus_ca_file: str = setting("prometheus-ca-file", "", "CA certificates to verify Prometheus with")
    prometheus_timeout: Seconds = setting("prometheus-timeout", Seconds(5), "limit of one query", above=0)
    prometheus_namespace_label: str = setting(
        "prometheus-namespace-label",
        "namespace",
        "the label of series by which a gate's query is bound to its namespace",
    )
    # leadership, further flags in LeaderSettings
    leader_elect: bool = setting("leader-elect", True, "of several replicas only the one that holds the Lease acts")
    lease_namespace: str = setting("leader-elect-resource-namespace", "streamgate-rollout", "the Lease's namespace")
    lease_name: str = setting("leader-elect-resource-name", "streamgate-rollout", "the Lease's name")


def _together(settings: Settings) -> Iterator[str]:
    yield from check(settings)
    for text in settings.allowed_networks:
        try:
            ip_network(text)
        except ValueError as error:
            yield f"--allowed-networks={text}: {error}; a network like 169.254.10.0/24 is wanted"


FLAGS: Final = Flags(
    program="streamgate-rollout run",
    about="releases new templates of Deployments as their RolloutPolicies say",
    settings=Settings,
    version=__version__,
    ignored=KLOG,
    check=_together,
)


def parse(arguments: Sequence[str]) -> Settings:
    """Settings from a command line. Raises SettingsError."""
    return FLAGS.parse(arguments).settings
