"""The bed's network: a bridge on the host, and behind it each node in a network namespace of its own.

Pods, Services and iptables rules live in the nodes' namespaces; the host only has the bridge and routes through it,
which vanish with the bridge. So no firewall of the host is ever changed.

    host (API server, the tests' servers)            node
    sgbed0 10.243.0.1  ------ sgbed1 | eth0 ------  10.243.0.2, kube-proxy's rules for 10.96.0.0/16
                                                    cni0 10.244.0.1/24 -- pods
                       ------ sgbed2 | eth0 ------  10.243.0.3, where there is a second node, and so on
                                                    cni0 10.244.1.1/24 -- pods
"""

import ipaddress
import json
import random
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests.cluster.processes import CommandError, run

BRIDGE = "sgbed0"
HOST = "10.243.0.1"  # as pods and the API server see it
LINK, PODS, SERVICES = "10.243.0.0/24", "10.244.0.0/16", "10.96.0.0/16"
MOST_NODES = 9
FAKE_PODS = "10.245.0.0/16"  # addresses that kwok's pods have in name only
API_SERVICE = "10.96.0.1"


@dataclass(frozen=True)
class Place:
    """Where a node stands; the first has number 1."""

    number: int

    @property
    def name(self) -> str:
        """The node's."""
        return self.of("bed-node")

    @property
    def leg(self) -> str:
        """The host's end of its cable."""
        return f"sgbed{self.number}"

    @property
    def address(self) -> str:
        """The node's."""
        return f"10.243.0.{1 + self.number}"

    @property
    def pods(self) -> str:
        """The network of its pods."""
        return f"10.244.{self.number - 1}.0/24"

    def of(self, name: str) -> str:
        """What is called `name` on the first node."""
        return name if self.number == 1 else f"{name}-{self.number}"


def places(count: int) -> list[Place]:
    """Of so many nodes."""
    return [Place(number) for number in range(1, count + 1)]


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


def join(ip: Path, holder: int, place: Place, others: Sequence[Place] = ()) -> None:
    """Connects the node whose namespaces the process `holder` keeps; it knows the way to the pods of the `others`."""
    run([ip, "link", "add", place.leg, "type", "veth", "peer", "name", "eth0", "netns", str(holder)])
    run([ip, "link", "set", place.leg, "master", BRIDGE, "up"])
    inside = ["nsenter", "--target", str(holder), "--net", "--mount", "--pid", "--"]
    for words in (
        ["link", "set", "lo", "up"],
        ["addr", "add", f"{place.address}/24", "dev", "eth0"],
        ["link", "set", "eth0", "up"],
        ["route", "add", "default", "via", HOST],
        *(["route", "add", other.pods, "via", other.address] for other in others),
    ):
        run([*inside, ip, *words])
    # Pods reach one another's Services over the bridge only when bridged packets pass iptables as well.
    settings = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables || true"
    run([*inside, "sh", "-c", settings])
    run([ip, "route", "add", place.pods, "via", place.address])
    if place.number == 1:
        run([ip, "route", "add", SERVICES, "via", place.address])


def down(ip: Path) -> None:
    for name in (*(place.leg for place in places(MOST_NODES)), BRIDGE):
        if present(name):
            with suppress(CommandError):
                run([ip, "link", "delete", name])


def present(name: str = BRIDGE) -> bool:
    return Path(f"/sys/class/net/{name}").exists()


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
