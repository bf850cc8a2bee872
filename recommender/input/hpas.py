"""HPAs whose metrics cannot be read: the guard does not know what such an HPA counts on, which the log says once."""

from typing import Final

import msgspec
import structlog

from adapter.hpa.read import read_metrics
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.once import Once

log = structlog.get_logger(__name__)
HPAS: Final = 4096
"""HPAs of which it is remembered what was said."""


class UnreadMetrics:
    """Says of each HPA once which field cannot be read, and again when that is another one or comes back."""

    def __init__(self) -> None:
        self._once = Once(most=HPAS, again=None)

    def hpa_changed(self, old: HorizontalPodAutoscaler | None, new: HorizontalPodAutoscaler | None) -> None:
        """The handler for an index of HPAs; a status that changes, as it does all the time, is no reason to read."""
        hpa = new or old
        assert hpa is not None
        name = f"{hpa.metadata.namespace}/{hpa.metadata.name}"
        if new is None:
            self._once.over(name)
            return
        if old is not None and old.spec == new.spec:
            return
        _, refused = read_metrics(msgspec.to_builtins(new))
        if not refused:
            self._once.over(name)
        elif self._once.first(name, str(refused[0])):
            log.warning("metrics of an HPA not read", hpa=name, count=len(refused), cause=str(refused[0]))
