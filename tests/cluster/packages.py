"""Programs that come as Debian packages: found where they are, installed (as root, with apt-get) when they are missing.

A package that starts a service is kept from it: the bed runs its own, with its own configuration, socket and folders.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.cluster.binaries import MissingError, Say
from tests.cluster.processes import CommandError, run

PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "host-local": "containernetworking-plugins",  # not `bridge`: iproute2 has another program of that name
    "iptables": "iptables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "busybox": "busybox-static",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "buildah": "buildah",
    "chromium": "chromium",
}
NODE = ("containerd", "ctr", "runc", "host-local", "iptables", "ip", "conntrack", "busybox")
# CNI plugins stand in no PATH; the rest may stand in sbin, which a user's PATH lacks.
PLACES = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/cni", "/opt/cni/bin")
POLICY = Path("/usr/sbin/policy-rc.d")


def locate(name: str) -> Path | None:
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(PLACES))
    return Path(path) if path else None


def ensure(names: Iterable[str], say: Say = print) -> dict[str, Path]:
    """The path of each program, installing Debian packages for what is missing. Raises MissingError."""
    wanted = tuple(names)
    missing = [name for name in wanted if locate(name) is None]
    why = _install(sorted({PACKAGES[name] for name in missing}), say) if missing else ""
    paths = {name: path for name in wanted if (path := locate(name)) is not None}
    absent = [name for name in wanted if name not in paths]
    if absent:
        raise MissingError({name: [f"Debian package {PACKAGES[name]} is not installed", why] for name in absent})
    return paths


def _install(packages: list[str], say: Say) -> str:
    """Installs; what stood in the way, or an empty string."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get here"
    if os.geteuid() != 0:
        return "only root can install it"
    say(f"installing Debian packages: {' '.join(packages)}")
    environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    apt = [*environment, "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    install = [*apt, "install", "--no-install-recommends", *packages]
    try:
        with _no_services():
            try:
                run(install, seconds=600)
            except CommandError:  # package lists that are old or absent
                run([*apt, "update"], seconds=300)
                run(install, seconds=600)
    except (CommandError, OSError) as error:
        return str(error)
    return ""


@contextmanager
def _no_services() -> Iterator[None]:
    """While this holds, Debian's own switch keeps packages from starting what they bring."""
    if POLICY.exists():  # somebody decided already
        yield
        return
    try:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
        yield
    finally:
        with suppress(FileNotFoundError):
            POLICY.unlink()
