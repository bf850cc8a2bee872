"""What is asked of a blue-green's new pods before they get traffic: probes, and requests of our own. Pure.

No address stands in a policy: the pods' own are asked, at ports that the template declares.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from adapter.rollout.model import tls
from adapter.rollout.model.fields import Fields
from adapter.rollout.model.tls import Tls
from adapter.rollout.model.verdict import Said, Verdict

Port: TypeAlias = int | str | None
"""Number or name of a container port; None: the first that the template declares."""

MOST_PROBES: Final = 8
MOST_PATHS: Final = 16
LIMITS: Final = (0.000001, 0.999999)
"""Of `generate`."""
GENERATED: Final = "generated-traffic"
"""The name, and in recordings the metric, of the gate on requests of our own."""
WHOLE: Final = {
    "everySeconds": (1, 60),
    "timeoutSeconds": (1, 5),
    "successes": (1, 100),
    "failures": (1, 100),
    "requestsPerSecond": (1, 100),
    "requests": (1, 100_000),
}
SPOKEN: Final = ("port", "scheme", "host", "tls")
PROBE: Final = ("name", "path", *SPOKEN, "everySeconds", "timeoutSeconds", "successes", "failures")
GENERATE: Final = ("paths", *SPOKEN, "requestsPerSecond", "requests", "limit")

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_PATH: Final = re.compile(r"/[!-~]{0,1023}\Z")
_PORT: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?\Z")


class Probe(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A GET to every new pod, by HTTP or HTTPS: a round is good if each answers 200 to 399 in time."""

    name: str = ""
    path: str = "/"
    port: Port = None
    scheme: str = "HTTP"
    host: str = ""
    tls: Tls = Tls()
    every_seconds: int = 2
    timeout_seconds: int = 2
    successes: int = 3
    """Good rounds in a row that are wanted before the switch."""
    failures: int = 3
    """Bad rounds in a row after which the release is rolled back."""


class Generate(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """GETs of our own to the new pods; an answer of 500 and above, or none, is bad. `limit`: as a gate's."""

    paths: tuple[str, ...] = ("/",)
    port: Port = None
    scheme: str = "HTTP"
    host: str = ""
    tls: Tls = Tls()
    requests_per_second: int = 10
    requests: int = 1000
    """In all, of one release."""
    limit: float = 0.01


class Rounds(NamedTuple):
    """What a probe's rounds came to: how many of the last ones were good, or bad, and what was wrong."""

    good: int = 0
    bad: int = 0
    said: str = ""


def after(before: Rounds, wrong: str) -> Rounds:
    """One round more; `wrong`: what was wrong with it, '' if nothing."""
    return Rounds(bad=before.bad + 1, said=wrong) if wrong else Rounds(good=before.good + 1)


def verdict(probes: Sequence[Probe], rounds: Mapping[str, Rounds], gates: Verdict) -> Verdict:
    """What the gates say where every probe has passed; before, hold, and rollback once one has failed."""
    for probe in probes:
        tally = rounds.get(probe.name, Rounds())
        if tally.bad >= probe.failures:
            return Verdict(Said.ROLLBACK, f"probe {probe.name}: {tally.said}, {tally.bad} times in a row")
    if gates.said is Said.ROLLBACK:
        return gates
    for probe in probes:
        tally = rounds.get(probe.name, Rounds())
        if tally.good < probe.successes:
            last = f"; the last: {tally.said}" if tally.said else ""
            return Verdict(
                Said.HOLD, f"probe {probe.name}: {tally.good} of {probe.successes} good rounds{last}", blind=True
            )
    return gates


def port_of(containers: Sequence[Mapping[str, Any]], wanted: Port) -> int | None:
    """The number of the container port; None where none is declared so."""
    declared = [port for each in containers for port in each.get("ports") or ()]
    for port in declared:
        if wanted is None or wanted in (port.get("containerPort"), port.get("name") or None):
            return int(port["containerPort"])
    return None


def problems(blue_green: Fields) -> None:
    """Says what is wrong with `probes` and `generate` of a raw policy."""
    if blue_green.has("probes"):
        names: list[str] = []
        for probe in blue_green.each(
            "probes", 0, MOST_PROBES, "a list of probes such as {name: health, path: /healthz}"
        ):
            probe.only(PROBE)
            names.append(probe.text("name", _NAME, "lower-case letters, digits and hyphens", required=True))
            probe.text("path", _PATH, "a path such as /healthz")
            _common(probe, PROBE)
        if len(set(names)) < len(names):
            blue_green.wrong("probes", "two have the same name; right would be a name each")
    if generate := blue_green.mapping("generate", "{paths: [/], requestsPerSecond: 10, limit: 0.01}"):
        generate.only(GENERATE)
        generate.texts("paths", _PATH, "a path such as /healthz", least=1, most=MOST_PATHS)
        generate.number("limit", None, *LIMITS)
        _common(generate, GENERATE)


def _common(fields: Fields, known: Sequence[str]) -> None:
    fields.text("host", tls.HOST, "a host's name for the Host header")
    tls.problems(fields)
    fields.port("port", _PORT)
    for field in WHOLE.keys() & set(known):
        fields.whole(field, *WHOLE[field])
