"""What a bed could leave behind on this machine, to compare from before and after."""

import re
from pathlib import Path

from tests.cluster import node, packages
from tests.cluster.binaries import PROGRAMS
from tests.cluster.processes import pids, run, started_at

NAMES = {*PROGRAMS, *packages.NODE, "containerd-shim", "pause", "nsenter", "unshare"}
# Where containerd, kubelet and the CNI plugins write when nobody stops them.
FOLDERS = ("/run", "/var/lib", "/var/log", "/opt", "/etc/cni", "/usr/libexec")


def footprint() -> dict[str, list[str]]:
    """Sorted lists by kind: processes, mounts, interfaces, routes, rules, cgroups, kernel settings, folders."""
    tunables = {name: Path("/proc/sys") / name for name in [*node.TUNABLES, "net/ipv4/ip_forward"]}
    found = {
        "processes": [f"{pid} {name}" for pid in pids() if (name := _name(pid)) and started_at(pid) is not None],
        "mounts": [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        "interfaces": [path.name for path in Path("/sys/class/net").iterdir()],
        "routes": run(["ip", "route"]).splitlines(),
        "rules": [*_rules("iptables-save"), *_rules("ip6tables-save")],
        "cgroups": [str(path) for path in node.CGROUPS.glob(f"**/{node.CGROUP}")],
        "settings": [f"{name}={path.read_text().strip()}" for name, path in tunables.items() if path.exists()],
        "folders": [str(path) for folder in FOLDERS if Path(folder).exists() for path in Path(folder).iterdir()],
    }
    return {kind: sorted(items) for kind, items in found.items()}


def difference(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """What is there afterwards and was not before, and with a minus what is gone."""
    changes = {
        kind: [
            *sorted(set(after[kind]) - set(before[kind])),
            *(f"-{gone}" for gone in set(before[kind]) - set(after[kind])),
        ]
        for kind in before
    }
    return {kind: items for kind, items in changes.items() if items}


def _name(pid: int) -> str | None:
    """The program's name when it is one that a bed starts (the kernel cuts names off after 15 letters)."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
    return name if name in {one[:15] for one in NAMES} else None


def _rules(program: str) -> list[str]:
    """Chains and rules without counters; the built-in chains of an empty table say nothing."""
    path = packages.locate(program)
    lines = run([path]).splitlines() if path else []
    kept = [line for line in lines if line.startswith("-A") or (line.startswith(":") and line.split()[1] == "-")]
    return [program + ": " + re.sub(r"\[\d+:\d+\]", "", line) for line in kept]
