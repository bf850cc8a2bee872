"""The rules file: prometheus-adapter's format, read strictly but rule by rule.

prometheus-adapter ends with the first thing that it cannot read. Here a rule that cannot be read is one sentence in
`RuleFile.problems`, and the others work; only what is no YAML, or has a top level that nobody knows, is refused whole.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from adapter.rules.document import Document, Path, Plain, RulesError, format_path
from adapter.rules.fields import (
    Wrong,
    convert,
    filters,
    generation,
    mapping,
    naming,
    policy,
    query,
    trial,
    window,
)
from adapter.rules.model import ResourceRule, ResourceRules, Rule, RuleFile
from adapter.rules.schema import RawResourceRule, RawRule

_SECTIONS = ("rules", "externalRules", "resourceRules")
_RESOURCE_FIELDS = ("cpu", "memory", "window")

Made = TypeVar("Made")


def load(text: str, place: str) -> RuleFile:
    """Read a rules file; `place` names it in messages.

    Raises RulesError where the text is no YAML, or its top level is not what a rules file has.
    """
    document = Document(text, place)
    top = document.value
    if not isinstance(top, dict):
        raise RulesError(f"{place}, line 1: the file holds no mapping; right would be one with {', '.join(_SECTIONS)}")
    for key in top:
        if key not in _SECTIONS:
            problem = f"{key!r} is no field of a rules file; right would be one of {', '.join(_SECTIONS)}"
            raise RulesError(f"{place}, line {document.line((key,))}: {problem}")
    return _Reader(document).file(top)


class _Reader:
    """Reads the sections of one document, collecting problems."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[str] = []

    def file(self, top: Mapping[str, Plain]) -> RuleFile:
        custom = self.section(top, "rules")
        external = self.section(top, "externalRules")
        resource = self.resource_rules(top.get("resourceRules"))
        return RuleFile(custom, external, resource, tuple(self.problems))

    def section(self, top: Mapping[str, Plain], key: str) -> tuple[Rule, ...] | None:
        elements = top.get(key)
        if not elements:
            return None
        if not isinstance(elements, list):
            line = self.document.line((key,))
            raise RulesError(f"{self.document.place}, line {line}: {key} is no list; right would be one of rules")
        rules = (self.attempt((key, index), self.rule, element) for index, element in enumerate(elements))
        return tuple(rule for rule in rules if rule is not None)

    def attempt(self, path: Path, make: Callable[[Path, Plain], Made], element: Plain) -> Made | None:
        """What `make` makes of the element, or None and a problem."""
        try:
            return make(path, element)
        except Wrong as wrong:
            where = self.document.at((*path, *wrong.path))
            self.problems.append(f"{self.document.place}: {where}: {wrong.problem}")
            return None

    def rule(self, path: Path, element: Plain) -> Rule:
        raw = convert(element, RawRule)
        if not raw.series_query.strip():
            raise Wrong(("seriesQuery",), 'it is missing; right would be a series selector such as {__name__="a"}')
        matches, name_as = naming(raw.name)
        external = path[0] == "externalRules"
        return Rule(
            place=self.document.at(path),
            generation=generation(str(path[0]), element),
            series_query=raw.series_query,
            filters=filters(raw, matches),
            name_matches=matches,
            name_as=name_as,
            resources=mapping(raw.resources),
            metrics_query=query(raw.metrics_query, "metricsQuery", trial([] if external else ["pod"])),
            policy=policy(raw.policy),
        )

    def resource_rules(self, section: Plain) -> ResourceRules | None:
        if section is None:
            return None
        path = ("resourceRules",)
        if not isinstance(section, dict):
            line = self.document.line(path)
            raise RulesError(f"{self.document.place}, line {line}: resourceRules is no mapping; right would be one")
        for key in section:
            if key not in _RESOURCE_FIELDS:
                where, known = self.document.at((*path, key)), ", ".join(_RESOURCE_FIELDS)
                self.problems.append(
                    f"{self.document.place}: {where}: there is no such field; right would be one of {known}"
                )
        cpu, memory = (self.attempt((*path, key), self.resource_rule, section.get(key)) for key in ("cpu", "memory"))
        seconds = self.attempt((*path, "window"), window, section.get("window"))
        return ResourceRules(cpu=cpu, memory=memory, window=seconds or 0.0)

    def resource_rule(self, path: Path, element: Plain) -> ResourceRule:
        if element is None:
            raise Wrong(
                (), "it is missing, so metrics.k8s.io has no values; right would be a containerQuery and a nodeQuery"
            )
        raw = convert(element, RawResourceRule)
        label = raw.container_label
        return ResourceRule(
            place=self.document.at(path),
            generation=generation(format_path(path), element),
            container_query=query(raw.container_query, "containerQuery", trial(["pod", label])),
            node_query=query(raw.node_query, "nodeQuery", trial(["node"])),
            resources=mapping(raw.resources),
            container_label=label,
            policy=policy(raw.policy),
        )
