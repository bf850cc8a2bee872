"""The rules file: prometheus-adapter's format, read strictly but rule by rule.

prometheus-adapter ends with the first thing that it cannot read. Here a rule that cannot be read is one sentence in
`RuleFile.problems`, and the others work; only what is no YAML, or has a top level that nobody knows, is refused whole.
"""

import enum
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from adapter.rules.document import Document, Path, Plain, dotted, path_of
from adapter.rules.document import RulesError as RulesError
from adapter.rules.go.functions import Value
from adapter.rules.go.regexp import Regexp, RegexpError
from adapter.rules.go.template import Template, TemplateError
from adapter.rules.model import OnOddValue as OnOddValue
from adapter.rules.model import Policy as Policy
from adapter.rules.model import ResourceMapping as ResourceMapping
from adapter.rules.model import ResourceRule as ResourceRule
from adapter.rules.model import ResourceRules as ResourceRules
from adapter.rules.model import Rule as Rule
from adapter.rules.model import RuleFile as RuleFile
from adapter.rules.model import SeriesFilter as SeriesFilter
from adapter.rules.model import ServedPods as ServedPods
from adapter.rules.resources import GroupResource
from adapter.rules.schema import (
    RawFilter,
    RawMapping,
    RawName,
    RawPolicy,
    RawResource,
    RawResourceRule,
    RawRule,
    Strict,
)
from adapter.units import duration

_SECTIONS = ("rules", "externalRules", "resourceRules")
_RESOURCE_FIELDS = ("cpu", "memory", "window")
_YES = frozenset(("y", "yes", "true", "on"))
_NO = frozenset(("n", "no", "false", "off"))

Raw = TypeVar("Raw", bound=Strict)
Made = TypeVar("Made")
Word = TypeVar("Word", bound=enum.Enum)


class _Wrong(Exception):  # noqa: N818 - carried to the rule's problem, never out of this file
    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem


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
        except _Wrong as wrong:
            where = self.document.at((*path, *wrong.path))
            self.problems.append(f"{self.document.place}: {where}: {wrong.problem}")
            return None

    def rule(self, path: Path, element: Plain) -> Rule:
        raw = _converted(element, RawRule)
        if not raw.series_query.strip():
            raise _Wrong(("seriesQuery",), 'it is missing; right would be a series selector such as {__name__="a"}')
        matches, name_as = _name(raw.name)
        external = path[0] == "externalRules"
        return Rule(
            place=self.document.at(path),
            generation=_generation(str(path[0]), element),
            series_query=raw.series_query,
            filters=_filters(raw, matches),
            name_matches=matches,
            name_as=name_as,
            resources=_mapping(raw.resources),
            metrics_query=_query(raw.metrics_query, "metricsQuery", _trial([] if external else ["pod"])),
            policy=_policy(raw.policy),
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
        window = self.attempt((*path, "window"), _window, section.get("window"))
        return ResourceRules(cpu, memory, window or 0.0)

    def resource_rule(self, path: Path, element: Plain) -> ResourceRule:
        if element is None:
            raise _Wrong(
                (), "it is missing, so metrics.k8s.io has no values; right would be a containerQuery and a nodeQuery"
            )
        raw = _converted(element, RawResourceRule)
        label = raw.container_label
        return ResourceRule(
            place=self.document.at(path),
            generation=_generation(dotted(path), element),
            container_query=_query(raw.container_query, "containerQuery", _trial(["pod", label])),
            node_query=_query(raw.node_query, "nodeQuery", _trial(["node"])),
            resources=_mapping(raw.resources),
            container_label=label,
            policy=_policy(raw.policy),
        )


def _converted(element: Plain, kind: type[Raw]) -> Raw:
    """The element as its Struct, fields without a value left at their defaults."""
    try:
        return msgspec.convert(_without_null(element), kind)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `")
        raise _Wrong(path_of(where), _explained(problem, kind, where)) from None


def _without_null(value: Plain) -> Plain:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value


def _explained(problem: str, kind: type[Strict], where: str) -> str:
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", problem)
    if unknown is None:
        got = problem.replace("`object`", "a mapping").replace("`array`", "a list").replace("`str`", "a text")
        return f"{got[:1].lower()}{got[1:]}; right would be what prometheus-adapter's format has there"
    known = _fields(kind, path_of(where))
    return f"{unknown[1]!r} is no field there; right would be one of {', '.join(known)}"


def _fields(kind: type[Strict], path: Path) -> Sequence[str]:
    """The names of the fields of the Struct at `path` below `kind`."""
    inner: Mapping[str, type[Strict]] = {
        "name": RawName,
        "resources": RawMapping,
        "seriesFilters": RawFilter,
        "x-streamgate": RawPolicy,
    }
    found: type[msgspec.Struct] = inner.get(str(path[0]), kind) if path else kind
    if path[:2] == ("resources", "overrides"):
        found = RawResource
    return [field.encode_name for field in msgspec.structs.fields(found)]


def _name(name: RawName) -> tuple[Regexp, str]:
    """The expression and the API name's template, defaulted as prometheus-adapter does."""
    matches = _regexp(name.matches or ".*", ("name", "matches"))
    if name.as_:
        return matches, name.as_
    if matches.groups > 1:
        raise _Wrong(
            ("name",),
            f"{name.matches!r} has {matches.groups} groups and no `as` says which; right would be like as: $1",
        )
    return matches, f"${matches.groups}"


def _filters(raw: RawRule, matches: Regexp) -> Sequence[SeriesFilter]:
    filters = []
    for index, found in enumerate(raw.series_filters):
        path = ("seriesFilters", index)
        if bool(found.is_) == bool(found.is_not):
            count = "both" if found.is_ else "none"
            raise _Wrong(path, f"it has {count} of `is` and `isNot`; right would be exactly one")
        key = "is" if found.is_ else "isNot"
        filters.append(SeriesFilter(_regexp(found.is_ or found.is_not, (*path, key)), bool(found.is_)))
    return (*filters, SeriesFilter(matches, True)) if raw.name.matches else filters


def _mapping(raw: RawMapping) -> ResourceMapping:
    template = None
    if raw.template:
        path = ("resources", "template")
        template = _template(raw.template, path, {"Group": "(?P<group>.+?)", "Resource": "(?P<resource>.+?)"})
    for label, found in raw.overrides.items():
        if not found.resource:
            raise _Wrong(("resources", "overrides", label), "`resource` is missing; right would be like resource: pod")
    overrides = {label: GroupResource(found.group, found.resource) for label, found in raw.overrides.items()}
    return ResourceMapping(template, overrides, _truth(raw.namespaced, ("resources", "namespaced")))


def _query(text: str, key: str, trial: Mapping[str, Value]) -> Template:
    if not text.strip():
        raise _Wrong(
            (key,), "it is missing or empty; right would be a PromQL template with <<.Series>> and <<.LabelMatchers>>"
        )
    return _template(text, (key,), trial)


def _template(text: str, path: Path, trial: Mapping[str, Value]) -> Template:
    """Parsed and rendered once, since Go finds unknown fields only when it renders."""
    try:
        template = Template.parse(text)
        rendered = template.render(trial)
    except TemplateError as error:
        raise _Wrong(path, f"the template does not work: {error}") from None
    if not rendered:
        raise _Wrong(path, "the template gives nothing; right would be one that writes something out")
    if "Resource" in trial and "(?P<resource>" not in rendered:
        raise _Wrong(path, "the template leaves out the resource; right would be one with <<.Resource>>")
    return template


def _trial(group_by: Sequence[str]) -> Mapping[str, Value]:
    return {
        "Series": "series",
        "LabelMatchers": 'namespace="a",pod="b"',
        "LabelValuesByName": {"namespace": "a", "pod": "b"},
        "GroupBy": ",".join(group_by),
        "GroupBySlice": list(group_by),
    }


def _policy(raw: RawPolicy) -> Policy:
    path = ("x-streamgate",)
    return Policy(
        max_age=_seconds(raw.max_age, (*path, "maxAge")),
        nan=_choice(OnOddValue, raw.nan, (*path, "nan")),
        negative=_choice(OnOddValue, raw.negative, (*path, "negative")),
        refresh=_seconds(raw.refresh, (*path, "refresh")),
        adaptive=_truth(raw.adaptive, (*path, "adaptive")) if raw.adaptive else None,
        pods=_choice(ServedPods, raw.pods, (*path, "pods")),
    )


def _seconds(text: str, path: Path) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) else duration.parse(text)
    except ValueError as error:
        raise _Wrong(path, str(error)) from None
    if not seconds > 0:
        raise _Wrong(path, f"{text!r} is no time above 0; right would be like 90s")
    return seconds


def _choice(words: type[Word], text: str, path: Path) -> Word | None:
    if not text:
        return None
    try:
        return words(text)
    except ValueError:
        right = " or ".join(str(word.value) for word in words)
        raise _Wrong(path, f"{text!r} is unknown; right would be {right}") from None


def _truth(text: str, path: Path) -> bool:
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise _Wrong(path, f"{text!r} is neither true nor false")


def _window(_path: Path, text: Plain) -> float:
    try:
        return duration.parse(text) if isinstance(text, str) else 0.0
    except ValueError as error:
        raise _Wrong((), str(error)) from None


def _regexp(pattern: str, path: Path) -> Regexp:
    try:
        return Regexp(pattern)
    except RegexpError as error:
        raise _Wrong(path, f"{error}; right would be a Go (RE2) expression") from None


def _generation(section: str, element: Plain) -> str:
    text = json.dumps([section, element], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
