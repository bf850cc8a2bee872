"""What the log says of rules and demand: once for each reason and object, since the log is read by people."""

import logging
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

import structlog
from cachetools import TTLCache

from adapter.collect.demand import Want
from adapter.metrics.source import Query, SourceError
from adapter.once import Once

log = structlog.get_logger(__name__)

SENTENCES = 4096
"""Remembered: one for each rule and demand that wants mending, with room for those that come and go."""
UNSERVED = 20
"""Metrics that nothing serves of which the log tells for one namespace; of further ones it says that there are more."""

REQUESTED = 20
"""Of those that requests alone ask for, of all namespaces in SPAN_S: whoever asks is told, and may make up names."""
SPAN_S = 600.0
LONGEST = 2048
"""Characters of a sentence."""


class Reports:
    """Tells what was not told before, or what is news again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._requested: TTLCache[Hashable, None] = TTLCache(REQUESTED, SPAN_S, clock)
        self._once = Once(most=SENTENCES, again=None)
        self._failing: dict[str, dict[Query, type[SourceError]]] = {}
        """By rule: its queries that fail, and how."""

    def problem(self, sentence: str, about: Hashable = None) -> None:
        """Something about a rule that is to be mended; told once of what it is `about`, None: of its own text."""
        if self._once.first(about or sentence):
            log.warning("rule", problem=sentence[:LONGEST])

    def problems(self, sentences: Iterable[str]) -> None:
        """As `problem`, for several sentences."""
        for sentence in sentences:
            self.problem(sentence)

    def lasting(self, what: str, sentence: str) -> None:
        """A sentence about `what` whose numbers change; '' where it holds no more."""
        if not sentence:
            self._once.over((what, "lasting"))
        elif self._once.first((what, "lasting")):
            log.warning("rule", problem=f"{what}: {sentence}")

    def about(self, what: str, sentence: str, *, wrong: bool) -> None:
        """What is to be known of `what`, in a sentence whose numbers change: told once until `about_over`."""
        if self._once.first((what, "about")):
            log.log(logging.WARNING if wrong else logging.INFO, "rule", problem=f"{what}: {sentence}")

    def about_over(self, what: str) -> None:
        """There is no such problem any more; when there is again, that is news."""
        self._once.over((what, "about"))

    def note(self, sentence: str, about: Hashable = None) -> None:
        """What an operator may want to know; it may well be meant so."""
        if self._once.first(about or sentence):
            log.info("demand", note=sentence[:LONGEST])

    def is_news(self, sentence: str) -> bool:
        """Whether `sentence` was not told yet, for callers that write the log line themselves."""
        return self._once.first(sentence)

    def over(self, about: Hashable) -> None:
        """What was told `about` this is true no more; when it is again, that is news."""
        self._once.over(about)

    def record_failure(self, place: str, query: Query, error: SourceError) -> None:
        """A query of the rule at `place` failed: told once for each kind of failure, however their texts differ."""
        self._failing.setdefault(place, {})[query] = type(error)
        self.problem(f"{place}: the query failed: {error}", (place, type(error)))

    def record_success(self, place: str, query: Query) -> None:
        """A query of the rule at `place` works, or is no more: when none fails as it did, the next failure is news."""
        failing = self._failing.get(place, {})
        kind = failing.pop(query, None)
        if kind is not None and kind not in failing.values():
            self.over((place, kind))
        if not failing:
            self._failing.pop(place, None)

    def keep(self, queries: Iterable[Query]) -> None:
        """Forget the failures of all but `queries`."""
        kept = set(queries)
        for place, failing in list(self._failing.items()):
            for gone in failing.keys() - kept:
                self.record_success(place, gone)

    def report_unserved(self, wants: Mapping[Want, Exception], declared: Collection[Want]) -> None:
        """Nothing serves these wants: told once for each metric, namespace and kind of reason.

        Of those that HPAs `declared` some of each namespace, of the others some of all.
        """
        told: dict[str, set[Hashable]] = {}
        for want, error in wants.items():
            namespace = want.namespace or "(all)"
            about = namespace, want.metric, type(error)
            sentence = f"{want.metric} in namespace {namespace} is wanted, but {error.args[0]}"
            if want not in declared:
                self._of_request(sentence, about)
                continue
            known = told.setdefault(namespace, set())
            if len(known) < UNSERVED:
                self.note(sentence, about)
            elif about not in known:
                self.note(
                    f"in namespace {namespace} more metrics are wanted that nothing serves", (namespace, UNSERVED)
                )
            known.add(about)

    def _of_request(self, sentence: str, about: Hashable) -> None:
        if about in self._requested or len(self._requested) >= REQUESTED:
            return
        self._requested[about] = None
        last = len(self._requested) == REQUESTED
        self.note("requests ask for more metrics that nothing serves; they are told" if last else sentence, about)
