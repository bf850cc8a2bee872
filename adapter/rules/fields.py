"""The fields of one rule, each read from what the file has there or refused with its path and one sentence."""

import enum
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from adapter.kube.resources import GroupResource
from adapter.rules.document import Path, Plain, path_of
from adapter.rules.go.functions import Value
from adapter.rules.go.regexp import Regexp
from adapter.rules.go.template import Template, TemplateError
from adapter.rules.model import OnNegative, OnOddValue, Policy, ResourceMapping, SeriesFilter, ServedPods
from adapter.rules.schema import (
    RawFilter,
    RawMapping,
    RawName,
    RawPolicy,
    RawResource,
    RawRule,
    Strict,
)
from adapter.units import duration
from adapter.units.regexp import RegexpError

_YES = frozenset(("y", "yes", "true", "on"))
_NO = frozenset(("n", "no", "false", "off"))

Raw = TypeVar("Raw", bound=Strict)
Word = TypeVar("Word", bound=enum.Enum)


class Wrong(Exception):  # noqa: N818 - carried to the rule's problem, never out of the reader
    """What a field has is no good; `path` is the field's, below the rule."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem


def convert(element: Plain, kind: type[Raw]) -> Raw:
    """The element as its Struct, fields without a value left at their defaults. Raises Wrong, as do all here."""
    try:
        return msgspec.convert(_without_null(element), kind)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `")
        raise Wrong(path_of(where), _explain(problem, kind, where)) from None


def _without_null(value: Plain) -> Plain:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value


def _explain(problem: str, kind: type[Strict], where: str) -> str:
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
    struct: type[msgspec.Struct] = inner.get(str(path[0]), kind) if path else kind
    if path[:2] == ("resources", "overrides"):
        struct = RawResource
    return [field.encode_name for field in msgspec.structs.fields(struct)]


def naming(name: RawName) -> tuple[Regexp, str]:
    """The expression and the API name's template, defaulted as prometheus-adapter does."""
    matches = _regexp(name.matches or ".*", ("name", "matches"))
    if name.as_:
        return matches, name.as_
    if matches.groups > 1:
        raise Wrong(
            ("name",),
            f"{name.matches!r} has {matches.groups} groups and no `as` says which; right would be like as: $1",
        )
    return matches, f"${matches.groups}"


def filters(raw: RawRule, matches: Regexp) -> Sequence[SeriesFilter]:
    """The filters of series by name, the name's own expression among them."""
    filters = []
    for index, raw_filter in enumerate(raw.series_filters):
        path = ("seriesFilters", index)
        if bool(raw_filter.is_) == bool(raw_filter.is_not):
            count = "both" if raw_filter.is_ else "none"
            raise Wrong(path, f"it has {count} of `is` and `isNot`; right would be exactly one")
        key = "is" if raw_filter.is_ else "isNot"
        filters.append(SeriesFilter(_regexp(raw_filter.is_ or raw_filter.is_not, (*path, key)), bool(raw_filter.is_)))
    return (*filters, SeriesFilter(matches, True)) if raw.name.matches else filters


def mapping(raw: RawMapping) -> ResourceMapping:
    """Which labels name which resources."""
    template = None
    if raw.template:
        path = ("resources", "template")
        template = _template(raw.template, path, {"Group": "(?P<group>.+?)", "Resource": "(?P<resource>.+?)"})
    for label, override in raw.overrides.items():
        if not override.resource:
            raise Wrong(("resources", "overrides", label), "`resource` is missing; right would be like resource: pod")
    overrides = {label: GroupResource(override.group, override.resource) for label, override in raw.overrides.items()}
    return ResourceMapping(template, overrides, _truth(raw.namespaced, ("resources", "namespaced")))


def query(text: str, key: str, trial: Mapping[str, Value]) -> Template:
    """The template of a query, tried out with the values `trial`; `key` is its field."""
    if not text.strip():
        raise Wrong(
            (key,), "it is missing or empty; right would be a PromQL template with <<.Series>> and <<.LabelMatchers>>"
        )
    return _template(text, (key,), trial)


def _template(text: str, path: Path, trial: Mapping[str, Value]) -> Template:
    """Parsed and rendered once, since Go finds unknown fields only when it renders."""
    try:
        template = Template.parse(text)
        rendered = template.render(trial)
    except TemplateError as error:
        raise Wrong(path, f"the template does not work: {error}") from None
    if not rendered:
        raise Wrong(path, "the template gives nothing; right would be one that writes something out")
    if "Resource" in trial and "(?P<resource>" not in rendered:
        raise Wrong(path, "the template leaves out the resource; right would be one with <<.Resource>>")
    return template


def trial(group_by: Sequence[str]) -> Mapping[str, Value]:
    """Values for a template to be tried out with."""
    return {
        "Series": "series",
        "LabelMatchers": 'namespace="a",pod="b"',
        "LabelValuesByName": {"namespace": "a", "pod": "b"},
        "GroupBy": ",".join(group_by),
        "GroupBySlice": list(group_by),
    }


def policy(raw: RawPolicy) -> Policy:
    """What StreamGate lets a rule say beyond prometheus-adapter."""
    path = ("x-streamgate",)
    return Policy(
        max_age=_seconds(raw.max_age, (*path, "maxAge")),
        nan=_choice(OnOddValue, raw.nan, (*path, "nan")),
        negative=_choice(OnNegative, raw.negative, (*path, "negative")),
        refresh=_seconds(raw.refresh, (*path, "refresh")),
        adaptive=_truth(raw.adaptive, (*path, "adaptive")) if raw.adaptive else None,
        pods=_choice(ServedPods, raw.pods, (*path, "pods")),
    )


def _seconds(text: str, path: Path) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) else duration.parse_mixed(text)
    except ValueError as error:
        raise Wrong(path, str(error)) from None
    if not seconds > 0:
        raise Wrong(path, f"{text!r} is no time above 0; right would be like 90s")
    return seconds


def _choice(words: type[Word], text: str, path: Path) -> Word | None:
    if not text:
        return None
    try:
        return words(text)
    except ValueError:
        right = " or ".join(str(word.value) for word in words)
        raise Wrong(path, f"{text!r} is unknown; right would be {right}") from None


def _truth(text: str, path: Path) -> bool:
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise Wrong(path, f"{text!r} is neither true nor false")


def window(_path: Path, text: Plain) -> float:
    """resourceRules' window, s; 0 where there is none."""
    try:
        return duration.parse_mixed(text) if isinstance(text, str) else 0.0
    except ValueError as error:
        raise Wrong((), str(error)) from None


def _regexp(pattern: str, path: Path) -> Regexp:
    try:
        return Regexp(pattern)
    except RegexpError as error:
        raise Wrong(path, f"{error}; right would be a Go (RE2) expression") from None


def generation(section: str, element: Plain) -> str:
    """The same for the same text of a rule in the same section."""
    text = json.dumps([section, element], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
