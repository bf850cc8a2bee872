"""The rollout controller's flags: default, unit, reason. The names are those of Kubernetes' own controllers."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Settings:
    """All settings."""

    namespace: str = ""
    kubeconfig: str = ""
    kube_api_qps: float = 50.0
    kube_api_burst: float = 100.0
    address: str = ":8944"
    leader_elect: bool = True
    leader_elect_resource_namespace: str = "streamgate-rollout"
    leader_elect_resource_name: str = "streamgate-rollout"
    leader_elect_lease_duration: float = 15.0
    leader_elect_renew_deadline: float = 10.0
    leader_elect_retry_period: float = 2.0


HELP = {
    "namespace": "the only namespace to serve; empty: all",
    "kubeconfig": "file with cluster and credentials; empty: in-cluster",
    "kube_api_qps": "requests per second to the API server; a release takes about 15 a second",
    "kube_api_burst": "requests that may be sent at once",
    "address": "where /metrics and /healthz are served",
    "leader_elect": "of several replicas only the one that holds the Lease acts",
    "leader_elect_resource_namespace": "the Lease's namespace",
    "leader_elect_resource_name": "the Lease's name",
    "leader_elect_lease_duration": "s after which a silent leader is replaced",
    "leader_elect_renew_deadline": "s after which a leader that cannot renew stops",
    "leader_elect_retry_period": "s between two tries",
}


def parse(arguments: Sequence[str]) -> Settings:
    """Settings from a command line. Ends the program with 2 where a flag is wrong, as argparse does."""
    parser = argparse.ArgumentParser(prog="streamgate-rollout run", allow_abbrev=False)
    for entry in fields(Settings):
        flag, kind = f"--{entry.name.replace('_', '-')}", type(entry.default)
        convert = _truth if kind is bool else kind
        parser.add_argument(flag, type=convert, default=entry.default, help=f"{HELP[entry.name]} ({entry.default})")
    settings = Settings(**vars(parser.parse_args(list(arguments))))
    lease, renew = settings.leader_elect_lease_duration, settings.leader_elect_renew_deadline
    if not lease > renew > settings.leader_elect_retry_period > 0:
        parser.error("--leader-elect-lease-duration must be above -renew-deadline, and that above -retry-period")
    if not (settings.kube_api_qps > 0 and settings.kube_api_burst >= 1):
        parser.error("--kube-api-qps must be above 0, and --kube-api-burst at least 1")
    host, colon, port = settings.address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        parser.error(f"--address={settings.address!r}: host:port or :port is wanted")
    return settings


def _truth(text: str) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"{text!r}: true or false is wanted")
    return words[text.lower()]
