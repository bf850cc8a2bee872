"""Matchers of another controller's query -> those of one arm's pods. Pure.

The others tell new pods from stable ones by a Service, a workload or a hash of their own, none of which is there any
more; here it is `{{pods}}`, a pattern of the arm's pods. A query that asks for other pods, or of another namespace,
would find none of ours, and so it is refused.
"""

import re
from collections.abc import Collection, Sequence
from enum import Enum
from typing import Final, NamedTuple

from adapter.metrics.matching import Matching, Operator
from adapter.metrics.promql.read import PromQLError
from adapter.metrics.promql.write import Writer, label
from adapter.metrics.source import UnsupportedQuery
from adapter.rollout.foreign.raw import Why
from adapter.units.text import quote

PODS: Final = ("pod", "pod_name", "kubernetes_pod_name", "k8s_pod_name", "exported_pod")
"""Labels that hold a pod's name."""
WORKLOADS: Final = frozenset(
    (
        "deployment", "k8s_deployment_name", "workload", "workload_name",
        "source_workload", "destination_workload", "destination_canonical_service",
    )
)  # fmt: skip
"""Labels that hold a Deployment's name: new pods are those of another Deployment until they are judged."""
REPLICA_SETS: Final = frozenset(
    ("replicaset", "replica_set", "replicaset_name", "k8s_replicaset_name", "owner_name", "created_by_name")
)
"""Labels that hold a ReplicaSet's name: its Deployment's, and the hash."""
NAMESPACE: Final = "namespace"
HASH: Final = "{{hash}}"
OF_PODS: Final = "{{pods}}"
POSITIVE: Final = ("=", "=~")
KEY: Final = "pod-template-hash"
OF_ARGO: Final = "rollouts_pod_template_hash"
OF_KUBERNETES: Final = "pod_template_hash"
NEW_POD: Final = "-r1-ab12c-5d4f8c7b9-x7k2p"
"""How a new pod's name ends: release, fingerprint, hash and a word of its own (`decide.names`)."""
MOST_NAME: Final = 37
"""Characters of the target's name in a new pod's."""

_BEFORE: Final = r"(?:\.\*|\.\+|\^|\(|\?:)*+"
_AFTER: Final = r"(?:-?[^a-z0-9-]|-?\Z)"
_SERVICE: Final = rf"(?:-svc|-[0-9]+\Z|{_AFTER})"
"""As gateways name a Service: with a port, or an end of their own."""
_GROUP: Final = re.compile(r"([^()|]*)\((?:\?:)?([^()]*)\)([^()|]*)\Z")


class Names(NamedTuple):
    """What the other controller called the arms."""

    target: str
    apart: Collection[str]
    """Services and Deployments of the new pods alone, which are not there any more."""
    namespace: str
    service: str = ""
    """The Service that clients ask."""
    stable: Collection[str] = ()
    """Services and Deployments of the stable pods alone, which are not there any more either."""


class Whose(Enum):
    """The pods that a matcher is about."""

    NEW = "new"
    STABLE = "stable"
    OTHERS = "others"


class Arms:
    """Writes selectors about one arm, and remembers what gave way."""

    def __init__(self, names: Names) -> None:
        self.told = True
        """Whether every selector itself told the pods of the arms apart."""
        self.dropped: list[str] = []
        self.doubts: list[Why] = []
        """Matchers that were kept, and what has to be so that they find something."""
        self.writer = Writer(inside=self._inside)
        self._names = names

    def _inside(self, matchers: Sequence[tuple[str, str, str]]) -> Sequence[str]:
        kept: list[str] = []
        about: list[str] = []
        exported = any(name == "exported_pod" for name, _, _ in matchers)  # then `pod` is the exporter's own
        for name, sign, value in matchers:
            written = f"{label(name)}{sign}{quote(value)}"
            if HASH in value:
                about += self._of_hash(name, sign, written)
            elif name == NAMESPACE:
                kept += self._of_namespace(sign, value, written)
            elif name in PODS and not (exported and name == "pod"):
                pattern = self._of_pods(name, sign, value, written)
                about += pattern
                kept += [] if pattern else [written]
            else:
                kept += self._of_others(name, sign, value, written)
        if not about:
            self.told = False
            about.append(f"pod=~{quote(OF_PODS)}")
        return [*kept, *dict.fromkeys(about)]

    def _of_hash(self, name: str, sign: str, written: str) -> list[str]:
        """About the hash of the new pods."""
        if sign not in POSITIVE:
            raise _not_of_new_pods(written)
        if name in PODS:
            return [f"{label(name)}=~{quote(OF_PODS)}"]
        if name in REPLICA_SETS:
            return [f"{label(name)}=~{quote(f'.+-{HASH}')}"]
        if name in WORKLOADS or name.endswith(OF_ARGO):
            self.dropped.append(written)
            return []
        if not name.endswith(OF_KUBERNETES):
            instead = f"see that it is there, too: the pods have it as {KEY}, no more as rollouts-{KEY}"
            self.doubts.append(Why(f"{written} asks for the hash of the new pods", instead))
        return [written]

    def _of_namespace(self, sign: str, value: str, written: str) -> list[str]:
        own = self._names.namespace
        if not own:
            instead = "give the policy the namespace where these are"
            self.doubts.append(Why(f"{written} is asked of the policy's own namespace alone", instead))
        elif value == own and sign in POSITIVE:
            return []  # every selector is bound to it anyway
        elif not _takes(sign, value, own):
            raise PromQLError(f"{written} is not {own}, the policy's own namespace, to which each selector is bound")
        return [written]

    def _of_pods(self, name: str, sign: str, value: str, written: str) -> list[str]:
        """By the name of a pod: a matcher of ours for one that chose them, none for one that they all pass."""
        if sign in POSITIVE and self._whose(name, value) is Whose.NEW:
            return [f"{label(name)}=~{quote(OF_PODS)}"]
        if not _takes(sign, value, self._names.target[:MOST_NAME] + NEW_POD):
            raise _not_of_new_pods(written)
        return []

    def _of_others(self, name: str, sign: str, value: str, written: str) -> list[str]:
        """By a Service or a workload: what is of one arm alone gives way."""
        whose = self._whose(name, value)
        if whose is Whose.OTHERS:
            return [written]
        if (whose is Whose.NEW) != (sign in POSITIVE):
            raise _not_of_new_pods(written)
        self.dropped.append(written)
        return []

    def _whose(self, name: str, value: str) -> Whose:
        """Whose pods all alternatives of a value mean together; pods of both arms count as the new ones."""
        whose = {self._of_one(name, each) for each in _alternatives(value)}
        if Whose.OTHERS in whose:
            return Whose.OTHERS
        return Whose.NEW if Whose.NEW in whose else Whose.STABLE

    def _of_one(self, name: str, value: str) -> Whose:
        names, space = self._names, re.escape(self._names.namespace)
        before = f"(?:{space}[-_])?" if space else ""
        if any(_is_named(value, each, before, _SERVICE) for each in names.stable):
            return Whose.STABLE
        if any(_is_named(value, each, before, _SERVICE) for each in names.apart):
            return Whose.NEW
        named = (name in PODS or name in WORKLOADS) and _is_named(value, names.target)
        return Whose.NEW if named else Whose.OTHERS


def _is_named(value: str, name: str, before: str = "", after: str = _AFTER) -> bool:
    """Whether a name, a host or a pattern begins with the whole of `name`."""
    return bool(name) and bool(re.match(_BEFORE + before + re.escape(name) + after, value.replace("\\-", "-")))


def _takes(sign: str, value: str, text: str) -> bool:
    """Whether a label of that text is matched. Raises PromQLError."""
    try:
        return Matching("", Operator(sign), value).matches(text)
    except UnsupportedQuery as error:
        raise PromQLError(str(error)) from None


def _alternatives(value: str) -> list[str]:
    """The alternatives of a pattern; of a group within it one by one."""
    if group := _GROUP.match(value):
        return [group[1] + each + group[3] for each in group[2].split("|")]
    return value.split("|")


def _not_of_new_pods(written: str) -> PromQLError:
    return PromQLError(f"{written} asks for other pods than the new ones (spec.gates[].margin compares with stable)")
