"""RolloutPolicy (streamgate.io/v1alpha1): which Deployment, how a new template gets its traffic, what must hold.

Bounds and defaults are those of manifests/crds/rolloutpolicy.yaml, where the API server checks them; a policy from a
file has the same defaults. Templates are not part of a policy: they travel as raw JSON.
"""

from typing import Any, Final

import msgspec

from adapter.kube.objects import Model, ObjectMeta
from adapter.kube.resources import Resource
from adapter.rollout.model.gates import read
from adapter.rollout.model.preview import Generate, Probe
from adapter.rollout.model.status import Status

POLICIES: Final = Resource("streamgate.io", "v1alpha1", "rolloutpolicies")

FINALIZER: Final = "streamgate.io/rollout"
COMMAND: Final = "streamgate.io/command"
"""The annotation by which a person asks for something: JSON, a `Command`."""


STRATEGIES: Final = ("blueGreen", "canary", "rolling")


class TargetRef(Model, frozen=True):
    """The workload; only Deployments are released."""

    api_version: str = "apps/v1"
    kind: str = "Deployment"
    name: str = ""


class Step(Model, frozen=True):
    """A share of the traffic in percent, and how long it is held at least; `manual` waits for `promote` as well."""

    weight: int = 0
    pause_seconds: int = 60
    manual: bool = False


class RouteRef(Model, frozen=True):
    """The HTTPRoute (or Ingress) through which the traffic of `service` comes."""

    name: str = ""
    service: str = ""


class Traffic(Model, frozen=True):
    """How a canary gets its share: by the ratio of pods where nothing is named."""

    http_route: RouteRef | None = msgspec.field(name="httpRoute", default=None)
    nginx: RouteRef | None = None


class Canary(Model, frozen=True):
    """Steps of rising weight."""

    steps: tuple[Step, ...] = ()
    traffic: Traffic = Traffic()


class Rolling(Model, frozen=True):
    """Steps of rising weight within the Deployment itself: new pods beside all stable ones, then the rest."""

    steps: tuple[Step, ...] = ()


class BlueGreen(Model, frozen=True):
    """A full-size sibling, looked at `preview_seconds`, then all traffic at once, then `verify_seconds` to go back."""

    preview_service: str = ""
    preview_seconds: int = 10
    verify_seconds: int = 60
    manual: bool = False
    probes: tuple[Probe, ...] = ()
    generate: Generate | None = None


class Triggers(Model, frozen=True):
    """Objects of the namespace whose change is a release too."""

    config_maps: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


class SecretKey(Model, frozen=True):
    """A text in a Secret of the policy's namespace."""

    secret: str = ""
    key: str = ""


class Receiver(Model, frozen=True):
    """Who is told: `format` is 'webhook' or 'slack'; one of `url` and `url_from`; no `reasons`: the usual ones."""

    format: str = "webhook"
    url: str = ""
    url_from: SecretKey | None = None
    token_from: SecretKey | None = None
    reasons: tuple[str, ...] = ()


class PolicySpec(Model, frozen=True):
    """RolloutPolicySpec. `gates` and `alpha` are read by `model.gates`, from the raw object."""

    target_ref: TargetRef = TargetRef()
    blue_green: BlueGreen | None = None
    canary: Canary | None = None
    rolling: Rolling | None = None
    gates: tuple[dict[str, Any], ...] = ()
    alpha: float | None = None
    settle_seconds: int = 5
    progress_deadline_seconds: int = 600
    allow_parallel: bool = False
    triggers: Triggers = Triggers()
    notifications: tuple[Receiver, ...] = ()


class RolloutPolicy(Model, frozen=True):
    """The object."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PolicySpec = PolicySpec()
    status: Status = Status()

    @property
    def by_ratio(self) -> bool:
        """Whether the number of pods makes the share: Services then select both arms during the steps."""
        canary = self.spec.canary
        if self.in_place:
            return True
        return canary is not None and canary.traffic.http_route is None and canary.traffic.nginx is None

    @property
    def in_place(self) -> bool:
        """Whether the Deployment rolls by itself, its steps held: there is no sibling."""
        return self.spec.rolling is not None

    @property
    def steps(self) -> tuple[Step, ...]:
        """Of a canary or a rolling release."""
        chosen = self.spec.canary or self.spec.rolling
        return chosen.steps if chosen else ()

    @property
    def strategy(self) -> str:
        """The strategy's name for people."""
        return "blue-green" if self.spec.blue_green else "rolling" if self.in_place else "canary"


def in_force(raw: dict[str, Any]) -> dict[str, Any]:
    """The raw policy with the strategy by which its release began, where one is under way.

    Steps, routes and the stages of gates must not change under a release: what was added by the one strategy would be
    looked for by the other. Gates that do not fit this strategy are for the next release, too: without those that it
    has, nobody would judge it. Everything else of an edit counts at once.
    """
    release = (raw.get("status") or {}).get("release") or {}
    strategy = release.get("strategy")
    if not strategy or not isinstance(raw.get("spec"), dict):
        return raw
    others = {key: value for key, value in raw["spec"].items() if key not in STRATEGIES}
    spec = {**others, **strategy}
    kept = _kept_gates(release.get("gates"))
    if kept is not None and read(spec)[1]:
        spec["gates"] = kept
    return {**raw, "spec": spec}


def fitting_gates(policy: RolloutPolicy) -> str:
    """The policy's gates as its release remembers them; '' where they do not fit its strategy."""
    fit = not read(msgspec.to_builtins(policy.spec))[1]
    return msgspec.json.encode(policy.spec.gates, order="sorted").decode() if fit else ""


def _kept_gates(text: object) -> list[dict[str, Any]] | None:
    """The gates that a release remembers; None where it has none, or what is there cannot be read."""
    try:
        return msgspec.json.decode(text, type=list[dict[str, Any]]) if isinstance(text, str) and text else None
    except (msgspec.MsgspecError, RecursionError):
        return None


class Command(Model, frozen=True):
    """What a person asked for; each `id` is heard once."""

    verb: str = ""
    id: str = ""
    full: bool = False


def command_of(policy: RolloutPolicy) -> Command | None:
    """The command that the policy carries and that was not heard yet; one that cannot be read is none."""
    text = policy.metadata.annotations.get(COMMAND, "")
    try:
        command = msgspec.json.decode(text, type=Command) if text else None
    except (msgspec.MsgspecError, RecursionError):
        return None
    return command if command and command.id and command.id != policy.status.command else None
