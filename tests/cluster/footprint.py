"""What a bed could leave behind on this machine, to compare from before and after."""

import re
from pathlib import Path

from tests.cluster import node, packages
from tests.cluster.processes import pids, run, start_time

Footprint = dict[str, list[str]]
KEPT = {"rules", "settings"}  # nobody but an administrator takes these away
# Where containerd, kubelet and the CNI plugins write when nobody stops them.
FOLDERS = ("/run", "/var/lib", "/var/log", "/opt", "/etc/cni", "/usr/libexec")


def footprint(folder: Path) -> Footprint:
    """This machine with a bed in `folder`: sorted lists by kind (processes, mounts, interfaces, rules, …)."""
    tunables = {name: Path("/proc/sys") / name for name in [*node.TUNABLES, "net/ipv4/ip_forward"]}
    by_kind = {
        "processes": [f"{pid} {name}" for pid in pids() if (name := _of_a_bed(pid, str(folder).encode()))],
        "mounts": [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        "interfaces": [path.name for path in Path("/sys/class/net").iterdir()],
        "routes": run(["ip", "route"]).splitlines(),
        "rules": [*_rules("iptables-save"), *_rules("ip6tables-save")],
        "cgroups": [str(path) for path in node.CGROUPS.glob(f"**/{node.CGROUP}*")],
        "settings": [f"{name}={path.read_text().strip()}" for name, path in tunables.items() if path.exists()],
        "folders": [str(path) for folder in FOLDERS if Path(folder).exists() for path in Path(folder).iterdir()],
    }
    return {kind: sorted(items) for kind, items in by_kind.items()}


def difference(before: Footprint, after: Footprint) -> Footprint:
    """What is there afterwards and was not before; of rules and settings also what is gone, with a minus.

    Others may take down an interface or a mount of their own meanwhile; the bed only ever makes some.
    """
    changes = {kind: sorted(set(after[kind]) - set(before[kind])) for kind in before}
    for kind in KEPT & set(before):
        changes[kind] += [f"-{gone}" for gone in sorted(set(before[kind]) - set(after[kind]))]
    return {kind: items for kind, items in changes.items() if items}


def _of_a_bed(pid: int, folder: bytes) -> str | None:
    """The name of a live process that runs in a bed's cgroup, or speaks of our folder in its command or environment."""
    proc = Path(f"/proc/{pid}")
    try:
        texts = [(proc / name).read_bytes() for name in ("cgroup", "cmdline", "environ", "comm")]
    except OSError:
        return None
    ours = f"/{node.CGROUP}".encode() in texts[0] or folder in texts[1] or folder in texts[2]
    return texts[3].decode().strip() if ours and start_time(pid) is not None else None


def _rules(program: str) -> list[str]:
    """Chains and rules without counters; the built-in chains of an empty table say nothing."""
    path = packages.locate(program)
    lines = run([path]).splitlines() if path else []
    kept = [line for line in lines if line.startswith("-A") or (line.startswith(":") and line.split()[1] == "-")]
    return [program + ": " + re.sub(r"\[\d+:\d+\]", "", line) for line in kept]
