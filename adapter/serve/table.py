"""Usage as a metav1.Table, which is what `kubectl get` prints."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from adapter.serve import wire
from adapter.serve.encode import batches
from adapter.serve.status import bad_request
from adapter.units.quantity import Quantity

_NAME = wire.Column("Name", "string", "name", "Name of the resource", 0)
_CPU = wire.Column("cpu", "string", "quantity", "", 0)
_MEMORY = wire.Column("memory", "string", "quantity", "", 0)
_WINDOW = wire.Column("Window", "string", "duration", "", 0)
COLUMNS = (_NAME, _CPU, _MEMORY, _WINDOW)

_INCLUDES = ("Metadata", "None", "Object")


async def table(message: wire.Object, version: str, include: str) -> wire.Table:
    """The table of one NodeMetrics or PodMetrics or a list of them, as meta.k8s.io/`version`.

    `include` is the includeObject parameter: what of the object comes with each row. Raises StatusError for another
    word than Metadata (which '' means), None and Object.
    """
    include = include or _INCLUDES[0]
    if include not in _INCLUDES:
        raise bad_request(f"includeObject: {include!r} is not known; it must be one of {', '.join(_INCLUDES)}")
    api = f"meta.k8s.io/{version}"
    items: Sequence[Any] = message.items if isinstance(message, wire.ItemList) else [message]
    rows: list[wire.Row] = []
    for batch in batches(items):
        rows += [_row(item, api, include) for item in batch]
        await asyncio.sleep(0)
    return wire.Table("Table", api, wire.NO_LIST_META, COLUMNS, rows)


def _row(item: Any, api: str, include: str) -> wire.Row:
    usage = _total(item)
    cells = (item.metadata.name, usage["cpu"], usage["memory"], str(item.window))
    if include == "None":
        return wire.Row(cells, UNSET)
    return wire.Row(
        cells, item if include == "Object" else wire.PartialObjectMetadata("PartialObjectMetadata", api, item.metadata)
    )


def _total(item: Any) -> Mapping[str, str]:
    """A node's usage, or the sum of a pod's containers."""
    if isinstance(item, wire.NodeMetrics | wire.NodeMetricsItem):
        return item.usage
    total = {}
    for name in ("cpu", "memory"):
        parts = [Quantity.parse(container.usage[name]) for container in item.containers]
        total[name] = str(sum(parts[1:], parts[0])) if parts else "0"
    return total
