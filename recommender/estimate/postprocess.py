"""VPA's post-processors: from one container's numbers to quantities, rounded and held to its policy. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from adapter.units.quantity import Format, Quantity
from recommender.objects import ContainerRecommendation, Vpa, quantities

RESOURCES: Final = ("cpu", "memory")
INTEGER_CPU: Final = "vpa-post-processor.kubernetes.io/{}_integerCPU"
"""The annotation of a VPA that asks for whole CPUs of one container (its value: 'true')."""


class Amount(NamedTuple):
    """CPU and memory of one bound; None where the resource is not controlled."""

    cpu: Quantity | None
    memory: Quantity | None


@dataclass(frozen=True)
class Rounding:
    """How numbers are rounded up; the defaults are VPA's flags."""

    cpu_millicores: int = 1
    memory_bytes: int = 1
    humanize: bool = False


@dataclass(frozen=True)
class Limits:
    """What a container's policy allows: resource -> quantity; a zero or missing one is no limit."""

    least: Mapping[str, Quantity]
    most: Mapping[str, Quantity]


def amount(millicores: int | None, size: int | None, rounding: Rounding) -> Amount:
    """Numbers as quantities, rounded up as the flags say (VPA's ResourcesAsResourceList)."""
    cpu = None if millicores is None else Quantity.of_milli(round_up(millicores, rounding.cpu_millicores))
    memory = None if size is None else _bytes(round_up(size, rounding.memory_bytes), rounding.humanize)
    return Amount(cpu, memory)


def round_up(value: int, scale: int) -> int:
    """`value` rounded up to a multiple of `scale`; the division is in floating point, as VPA's."""
    return value if scale == 1 or value == 0 else math.ceil(value / scale) * scale


def whole_cpus(bound: Amount) -> Amount:
    """CPU rounded up to whole cores."""
    return bound if bound.cpu is None else bound._replace(cpu=Quantity.of_milli(bound.cpu.unit() * 1000))


def cap(bound: Amount, limits: Limits) -> Amount:
    """The bound held between policy limits; where they cross, the upper one wins."""
    return Amount(*(_cap_quantity(getattr(bound, name), name, limits) for name in RESOURCES))


def policy_limits(
    least: Mapping[str, Quantity], most: Mapping[str, Quantity], everywhere: Mapping[str, Quantity]
) -> Limits:
    """A container's limits; resources missing from its own `most` take the limit that holds `everywhere`."""
    return Limits(least, {**everywhere, **most})


def format_bytes(size: int) -> str:
    """Bytes in the largest binary unit that fits, two decimals (VPA's deprecated --humanize-memory)."""
    for power, unit in ((4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")):
        if size >= 1024**power:
            return f"{size / 1024**power:.2f}{unit}"
    return str(size)


def _bytes(size: int, humanize: bool) -> Quantity:
    if humanize and size:
        return Quantity.parse(format_bytes(size))
    return Quantity.of(size, Format.BINARY_SI)


def _cap_quantity(value: Quantity | None, name: str, limits: Limits) -> Quantity | None:
    if value is None:
        return None
    least, most = limits.least.get(name), limits.most.get(name)
    if least is not None and least.nano and value < least:
        value = least
    if most is not None and most.nano and value > most:
        value = most
    return value


@dataclass(frozen=True)
class Numbers:
    """What the engine says of one container: (target, lower, upper) of each resource; None where nothing is known."""

    cpu: tuple[int, int, int] | None
    memory: tuple[int, int, int] | None
    confidence: float
    note: str = ""
    """Why they are not what the history alone would say; '' where they are."""

    @property
    def unknown(self) -> list[str]:
        """The resources of which nothing is known."""
        return [name for name in RESOURCES if getattr(self, name) is None]


@dataclass(frozen=True)
class PostProcessor:
    """What happens to every recommendation before it is written, as VPA's post-processors do it."""

    rounding: Rounding
    most: Mapping[str, Quantity]
    """The most of each resource, for containers whose policy does not say."""
    integer_cpu: bool
    """Whether the annotation INTEGER_CPU is honoured."""

    def amounts(self, cpu: int | None, memory: int | None) -> Amount:
        """Millicores and bytes as they would stand in a recommendation for which no policy says anything."""
        return cap(amount(cpu, memory, self.rounding), policy_limits({}, {}, self.most))

    def recommendation(self, vpa: Vpa, container: str, numbers: Numbers) -> ContainerRecommendation:
        """One container's recommendation, rounded, whole CPUs where asked for, held to its policy's limits."""
        policy = vpa.spec.resource_policy.of(container)
        controlled: Sequence[str] = RESOURCES
        if policy is not None and policy.controlled_resources is not None:
            controlled = policy.controlled_resources
        nothing = (None, None, None)
        cpu = numbers.cpu if numbers.cpu and "cpu" in controlled else nothing
        memory = numbers.memory if numbers.memory and "memory" in controlled else nothing
        bounds = [amount(*pair, self.rounding) for pair in zip(cpu, memory, strict=True)]
        if self.integer_cpu and vpa.metadata.annotations.get(INTEGER_CPU.format(container)) == "true":
            bounds = [whole_cpus(bound) for bound in bounds]
        least, most = (quantities(policy.min_allowed), quantities(policy.max_allowed)) if policy else ({}, {})
        limits = policy_limits(least, most, self.most)
        target, lower, upper = (cap(bound, limits) for bound in bounds)
        return ContainerRecommendation(
            container_name=container,
            target=_texts(target),
            lower_bound=_texts(lower),
            upper_bound=_texts(upper),
            uncapped_target=_texts(bounds[0]),
        )


def _texts(bound: Amount) -> dict[str, str]:
    return {name: str(value) for name, value in bound._asdict().items() if value is not None}
