"""The rules file field by field, as texts: what may stand where, before anything is made of it."""

import msgspec


class Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A mapping that knows all its keys."""


class RawFilter(Strict):
    is_: str = msgspec.field(default="", name="is")
    is_not: str = ""


class RawResource(Strict):
    resource: str = ""
    group: str = ""


class RawMapping(Strict):
    template: str = ""
    overrides: dict[str, RawResource] = {}
    namespaced: str = "true"


class RawName(Strict):
    matches: str = ""
    as_: str = msgspec.field(default="", name="as")


class RawPolicy(Strict):
    max_age: str = ""
    nan: str = ""
    negative: str = ""
    refresh: str = ""
    adaptive: str = ""
    pods: str = ""


class RawRule(Strict):
    series_query: str = ""
    series_filters: list[RawFilter] = []
    resources: RawMapping = msgspec.field(default_factory=RawMapping)
    name: RawName = msgspec.field(default_factory=RawName)
    metrics_query: str = ""
    policy: RawPolicy = msgspec.field(default_factory=RawPolicy, name="x-streamgate")


class RawResourceRule(Strict):
    container_query: str = ""
    node_query: str = ""
    resources: RawMapping = msgspec.field(default_factory=RawMapping)
    container_label: str = ""
    policy: RawPolicy = msgspec.field(default_factory=RawPolicy, name="x-streamgate")
