"""The texts of labels' values as numbers, so that whole columns are compared at once."""

from collections import deque

from adapter.metrics.store.columns import ABSENT
from adapter.metrics.store.verdicts import Verdicts

KEEP_UNUSED_S = 60.0
"""For so long a text that no series has is remembered: a query under way may still need it."""


class Strings:
    """Each text has one number. A number is never given twice."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {"": ABSENT}
        self._texts: dict[int, str] = {ABSENT: ""}
        self._uses: dict[int, int] = {ABSENT: 1}
        self._unused: dict[int, None] = {}
        """Codes without use since the last purge."""
        self._waiting: deque[tuple[float, list[int]]] = deque()
        """Codes that purges found without use, by the purge's Unix time, the oldest first."""
        self._next = ABSENT + 1
        self.verdicts = Verdicts()

    def __len__(self) -> int:
        return len(self._codes)

    def acquire(self, text: str) -> int:
        code = self._codes.get(text)
        if code is None:
            code, self._next = self._next, self._next + 1
            self._codes[text] = code
            self._texts[code] = text
        self._uses[code] = self._uses.get(code, 0) + 1
        self._unused.pop(code, None)
        return code

    def release(self, text: str) -> None:
        code = self._codes[text]
        self._uses[code] -= 1
        if not self._uses[code]:
            self._unused[code] = None

    def find(self, text: str) -> int | None:
        return self._codes.get(text)

    def text(self, code: int) -> str:
        return self._texts[code]

    def holds(self, code: int) -> bool:
        """Whether it is remembered whose number that is."""
        return code in self._texts

    def purge(self, now: float) -> None:
        """Forget the texts that have been without use for long; it costs what has come out of use."""
        if self._unused:
            self._waiting.append((now, list(self._unused)))
            self._unused = {}
        while self._waiting and now >= self._waiting[0][0] + KEEP_UNUSED_S:
            for code in self._waiting.popleft()[1]:
                if self._uses.get(code) == 0:
                    del self._uses[code], self._codes[self._texts.pop(code)]
