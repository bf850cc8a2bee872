"""The bed's network: a bridge on the host, and behind it the node in a network namespace of its own.

Pods, Services and iptables rules live in the node's namespace; the host only has the bridge and two routes through it,
which vanish with the bridge. So no firewall of the host is ever changed.

    host (API server, the tests' servers)            node
    sgbed0 10.243.0.1  ------ sgbed1 | eth0 ------  10.243.0.2, kube-proxy's rules for 10.96.0.0/16
                                                    cni0 10.244.0.1/24 -- pods
"""

import ipaddress
import json
import random
import socket
from contextlib import suppress
from itertools import islice
from pathlib import Path

from tests.cluster.processes import CommandError, run

BRIDGE, LEG = "sgbed0", "sgbed1"
HOST, NODE = "10.243.0.1", "10.243.0.2"  # the host as pods and the API server see it, and the node
LINK, PODS, SERVICES = "10.243.0.0/24", "10.244.0.0/24", "10.96.0.0/16"
FAKE_PODS = "10.245.0.0/16"  # addresses that kwok's pods have in name only
API_SERVICE = "10.96.0.1"


class NetworkError(RuntimeError):
    """The bed's addresses are not free, or the bridge cannot be made."""


def up(ip: Path) -> None:
    """The bridge with the host's address. NetworkError when another network uses these addresses."""
    taken = overlaps([route["dst"] for route in json.loads(run([ip, "-4", "-json", "route"]) or "[]")])
    if taken:
        raise NetworkError(f"the bed needs {LINK}, {PODS} and {SERVICES}, but there is a route to {', '.join(taken)}")
    try:
        run([ip, "link", "add", BRIDGE, "type", "bridge"])
        run([ip, "addr", "add", f"{HOST}/24", "dev", BRIDGE])
        run([ip, "link", "set", BRIDGE, "up"])
    except CommandError as error:
        raise NetworkError(f"cannot make the bed's bridge {BRIDGE}: {error.output}") from error


def overlaps(destinations: list[str]) -> list[str]:
    """Which of the routes' destinations share addresses with the bed's own networks."""
    ours = [ipaddress.ip_network(network) for network in (LINK, PODS, SERVICES)]
    routed = [text for text in destinations if text != "default"]
    return [text for text in routed if any(ipaddress.ip_network(text, strict=False).overlaps(own) for own in ours)]


def join(ip: Path, holder: int) -> None:
    """Connects the node whose namespaces the process `holder` keeps."""
    run([ip, "link", "add", LEG, "type", "veth", "peer", "name", "eth0", "netns", str(holder)])
    run([ip, "link", "set", LEG, "master", BRIDGE, "up"])
    inside = ["nsenter", "--target", str(holder), "--net", "--mount", "--pid", "--"]
    for words in (
        ["link", "set", "lo", "up"],
        ["addr", "add", f"{NODE}/24", "dev", "eth0"],
        ["link", "set", "eth0", "up"],
        ["route", "add", "default", "via", HOST],
    ):
        run([*inside, ip, *words])
    # Pods reach one another's Services over the bridge only when bridged packets pass iptables as well.
    settings = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables || true"
    run([*inside, "sh", "-c", settings])
    for network in (PODS, SERVICES):
        run([ip, "route", "add", network, "via", NODE])


def down(ip: Path) -> None:
    for name in (LEG, BRIDGE):
        with suppress(CommandError):
            run([ip, "link", "delete", name])


def present() -> bool:
    return Path(f"/sys/class/net/{BRIDGE}").exists()


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Ports that nobody listens on now.

    They stand below those that the kernel hands out to clients: one of those could be taken while its program restarts.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = random.sample(range(max(1024, lowest - 12_000), max(1024, lowest)), 500)
    return list(islice((port for port in candidates if _free(address, port)), count))


def _free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
