"""What verbs take: their flags and operands, read by the one reader of flags that every program has."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from adapter import __version__
from adapter.program.flags import Common, Flags, no_objection, operand, setting

S = TypeVar("S")
PROGRAM: Final = "streamgate-rollout"
FORMS: Final = ("text", "json")
FILE: Final = "YAML file with one RolloutPolicy; - for stdin"


@dataclass(frozen=True)
class Output(Common):
    """How a verb shows what it found."""

    output: str = setting("output", "text", "for people or for programs", choices=FORMS, short="o")


@dataclass(frozen=True)
class Cluster(Common):
    """Where the cluster is."""

    namespace: str = setting("namespace", "", "of the policy; empty: that of the kubeconfig", short="n")
    kubeconfig: str = setting("kubeconfig", "", "empty: $KUBECONFIG, the pod's account, ~/.kube/config")


@dataclass(frozen=True)
class OfPolicy(Cluster):
    """A policy in a cluster."""

    policy: str = operand("POLICY", "the RolloutPolicy's name")


@dataclass(frozen=True)
class ShownPolicy(OfPolicy, Output):
    """A policy in a cluster of which something is shown."""


@dataclass(frozen=True)
class Recording(Output):
    """A policy's file and recorded windows."""

    policy: str = operand("POLICY", FILE)
    windows: str = operand("WINDOWS", "JSON lines of windows; - for stdin")


def flags(verb: str, about: str, settings: type[S], check: Callable[[S], Iterable[str]] = no_objection) -> Flags[S]:
    """The command line of a verb."""
    return Flags(program=f"{PROGRAM} {verb}", about=about, settings=settings, version=__version__, check=check)


def one_stdin(told: Any) -> Iterable[str]:
    """What speaks against a verb that would read both its files from stdin."""
    if told.policy == told.windows == "-":
        yield "only one of POLICY and WINDOWS can be -"
