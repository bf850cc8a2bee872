"""What must be known of a bed from outside: whether one can be and is up, with which options, and where."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.cluster import binaries, controlplane, network, packages, releases
from tests.cluster.controlplane import Ports

LOCK = Path("/var/lock/streamgate-bed.lock")


class BedError(RuntimeError):
    """The bed is not as the call needs it: up already, not up, without a node; or this machine cannot have one."""


class BusyError(BedError):
    """A bed is up or just coming up or going down: there is one on a machine at a time."""


@dataclass(frozen=True)
class Options:
    """What to start. `nodes`: real ones. `fake_nodes`: how many kwok plays. `flags`: extra ones per program.

    `kubernetes`: a version such as 1.30.14; none: the pinned one, wherever it comes from.
    """

    nodes: int = 1
    fake_nodes: int = 0
    flags: dict[str, list[str]] = field(default_factory=dict)
    kubernetes: str = ""


@dataclass(frozen=True)
class State:
    """What another process must know of a bed that is up."""

    options: Options
    ports: Ports
    programs: dict[str, str]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> "State":
        fields = json.loads(path.read_bytes())
        return cls(Options(**fields["options"]), Ports(**fields["ports"]), fields["programs"])


def default_folder() -> Path:
    return binaries.cache() / "bed"


def find_programs(options: Options, say: Callable[[str], None]) -> dict[str, Path]:
    """What these options need, installed or built where it is missing. MissingError or BedError when it can not be."""
    if os.geteuid() != 0:
        raise BedError("the test bed needs root: it makes a bridge, and with a real node namespaces and cgroups")
    wanted = [*controlplane.COMPONENTS, "kubectl"]
    wanted += ["kubelet", "kube-proxy"] if options.nodes else []
    wanted += ["kwok"] if options.fake_nodes else []
    programs = packages.ensure(packages.NODE if options.nodes else ("ip",), say)
    if options.kubernetes:
        programs |= releases.find(options.kubernetes, [name for name in wanted if name in releases.OF_A_VERSION], say)
    return {**binaries.find([name for name in wanted if name not in programs], say), **programs}


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Holds the machine's lock, and sees that no bed is up: neither in this folder nor in another."""
    with locked():
        if (folder / "state.json").exists():
            raise BusyError(f"a bed is up already in {folder}; `python -m tests.cluster down` takes it down")
        if network.present():
            raise BusyError(
                f"another bed is up (interface {network.BRIDGE} exists); `python -m tests.cluster down` there"
            )
        yield


@contextmanager
def locked() -> Iterator[None]:
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError("another process is just starting or ending a bed") from error
        yield
