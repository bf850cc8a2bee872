"""The RolloutPolicy in a file of YAML documents. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from adapter.units.manifest import ManifestError, mappings

API_VERSION: Final = "streamgate.io/v1alpha1"
KIND: Final = "RolloutPolicy"


def policy_of(data: bytes, place: str) -> dict[str, Any]:
    """The one RolloutPolicy of a file, raw. `place` names the file in messages. Raises ManifestError."""
    found = [each for each in mappings(data, place) if each.get("kind") == KIND]
    if len(found) != 1:
        raise ManifestError(f"{place}: the file holds {len(found)} objects of kind {KIND}; right would be one")
    version = found[0].get("apiVersion")
    if version != API_VERSION:
        raise ManifestError(f"{place}: apiVersion of the {KIND} is {str(version)[:60]!r}; right would be {API_VERSION}")
    return found[0]


def spec_of(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """A policy's raw spec; empty where there is none, so that its reader says what is missing."""
    spec = policy.get("spec")
    return spec if isinstance(spec, Mapping) else {}
