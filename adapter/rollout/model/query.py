"""A gate's own PromQL, as the policy has it: read and bounded here, understood elsewhere (`rollout.queries`). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapter.rollout.model.fields import Fields

MOST_CHARACTERS: Final = 2000
WINDOW: Final = 30
WINDOWS: Final = (10, 3600)
FIELDS: Final = ("bad", "total", "value", "windowSeconds")

_TEXT: Final = re.compile(rf".{{1,{MOST_CHARACTERS}}}\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Templates of PromQL that give one value each: of events `bad` and `total` in the window, of a gauge `value`."""

    bad: str = ""
    total: str = ""
    value: str = ""
    window_seconds: int = WINDOW

    @property
    def templates(self) -> Mapping[str, str]:
        """Field -> template, of those that are given."""
        texts = {"bad": self.bad, "total": self.total, "value": self.value}
        return {field: text for field, text in texts.items() if text}


def read(gate: Fields, *, events: bool) -> Query | None:
    """The gate's `query`; None where it has none. What is wrong is said by the fields."""
    inner = gate.mapping("query", "{bad: …, total: …} or, for a gauge, {value: …}")
    if inner is None:
        return None
    inner.only(FIELDS)
    wanted = ("bad", "total") if events else ("value",)
    texts = {
        field: inner.text(field, _TEXT, f"PromQL of at most {MOST_CHARACTERS} characters", required=field in wanted)
        for field in ("bad", "total", "value")
    }
    for field in texts.keys() - set(wanted):
        if inner.has(field):
            inner.wrong(field, f"right would be {' and '.join(wanted)} for this kind of gate")
    window = inner.whole("windowSeconds", *WINDOWS)
    return Query(**texts, window_seconds=window or WINDOW)
