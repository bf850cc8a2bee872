"""RolloutPolicies in a file of YAML documents. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from adapter.units.manifest import ManifestError, mappings

API_VERSION: Final = "streamgate.io/v1alpha1"
KIND: Final = "RolloutPolicy"
MOST: Final = 1000
"""Policies of one file: each is compared with all objects of its namespace."""


def policy_of(data: bytes, place: str) -> dict[str, Any]:
    """The one RolloutPolicy of a file, raw. `place` names the file in messages. Raises ManifestError."""
    policies = policies_of(data, place)
    if len(policies) != 1:
        raise ManifestError(f"{place}: the file holds {len(policies)} objects of kind {KIND}; right would be one")
    return policies[0]


def policies_of(data: bytes, place: str) -> list[dict[str, Any]]:
    """The RolloutPolicies of a file, raw, 1 to MOST of them. Raises ManifestError."""
    policies = [each for each in mappings(data, place) if each.get("kind") == KIND]
    if not 1 <= len(policies) <= MOST:
        right = f"at most {MOST}" if policies else "one"
        raise ManifestError(f"{place}: the file holds {len(policies)} objects of kind {KIND}; right would be {right}")
    for version in (each.get("apiVersion") for each in policies):
        if version != API_VERSION:
            said = f"apiVersion of the {KIND} is {str(version)[:60]!r}; right would be {API_VERSION}"
            raise ManifestError(f"{place}: {said}")
    return policies


def spec_of(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """A policy's raw spec; empty where there is none, so that its reader says what is missing."""
    spec = policy.get("spec")
    return spec if isinstance(spec, Mapping) else {}
