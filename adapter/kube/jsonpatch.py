"""JSON patches (RFC 6902), as far as the API server and we use them. Pure."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any


def json_patch(value: Mapping[str, Any], operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A copy with RFC 6902's add, replace, remove and test applied. Raises ValueError, KeyError or IndexError for what
    does not apply."""
    result = copy.deepcopy(dict(value))
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place: Any = result
        for part in parents:
            place = place[int(part) if isinstance(place, list) else part]
        _apply(place, last, operation)
    return result


def _apply(place: Any, last: str, operation: Mapping[str, Any]) -> None:
    verb = operation["op"]
    key: Any = last
    if isinstance(place, list):
        key = len(place) if last == "-" else int(last)
    if verb == "add" and isinstance(place, list):
        place.insert(key, copy.deepcopy(operation["value"]))
    elif verb in {"add", "replace"}:
        place[key] = copy.deepcopy(operation["value"])
    elif verb == "remove":
        del place[key]
    elif verb != "test" or place[key] != operation["value"]:
        raise ValueError(f"the operation {verb!r} at {operation['path']!r} does not apply")
