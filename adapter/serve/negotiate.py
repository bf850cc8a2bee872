"""Which form of an answer a client accepts (RFC 9110, with Kubernetes' `as`, `g` and `v` parameters). Pure."""

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

MAX_CLAUSES = 64
"""More alternatives than any client sends; the rest is not read."""
MAX_REMEMBERED = 512
"""Characters up to which the outcome for a header is remembered: clients send the same few again and again."""


class Media(Enum):
    """The forms that answers have; the value is the media type."""

    JSON = "application/json"
    YAML = "application/yaml"
    PROTOBUF = "application/vnd.kubernetes.protobuf"


MEDIA_TYPES = tuple(media.value for media in Media)


class Transform(NamedTuple):
    """What a client wants the answer turned into: `as` with its group and version."""

    kind: str
    group: str
    version: str


AS_IS = Transform("", "", "")
TABLES = (Transform("Table", "meta.k8s.io", "v1"), Transform("Table", "meta.k8s.io", "v1beta1"))
DISCOVERY = tuple(Transform("APIGroupDiscoveryList", "apidiscovery.k8s.io", version) for version in ("v2", "v2beta1"))


class Choice(NamedTuple):
    """What was agreed on."""

    media: Media
    transform: Transform = AS_IS
    pretty: bool = False


class _Clause(NamedTuple):
    quality: float
    specificity: int
    media_type: str
    parameters: Mapping[str, str]


def negotiate(accept: str, transforms: tuple[Transform, ...] = ()) -> Choice | None:
    """The best form for an Accept header, or None where nothing fits.

    `transforms` are those that this answer can be turned into; a clause that wants another one is passed over, so that
    `as=Table` followed by plain JSON gets plain JSON. Transformed answers are JSON or YAML only. An empty header means
    JSON.
    """
    if not accept.strip():
        return Choice(Media.JSON)
    return _remembered(accept, transforms) if len(accept) <= MAX_REMEMBERED else _negotiate(accept, transforms)


def _negotiate(accept: str, transforms: tuple[Transform, ...]) -> Choice | None:
    for clause in _clauses(accept):
        choice = _match(clause, transforms)
        if choice is not None:
            return choice
    return None


_remembered = lru_cache(maxsize=256)(_negotiate)


def accepts(accept: str, media_type: str) -> bool:
    """Whether an Accept header takes `media_type`; an empty one takes everything."""
    return not accept.strip() or any(_covers(clause.media_type, media_type) for clause in _clauses(accept))


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header takes gzip."""
    return any(clause.media_type in ("gzip", "*") for clause in _clauses(accept_encoding))


def _match(clause: _Clause, transforms: tuple[Transform, ...]) -> Choice | None:
    parameters = clause.parameters
    wanted = Transform(parameters.get("as", ""), parameters.get("g", ""), parameters.get("v", ""))
    if parameters.get("stream"):
        return None
    if wanted != AS_IS and wanted not in transforms:
        return None
    for media in Media:
        if wanted != AS_IS and media is Media.PROTOBUF:
            continue
        if _covers(clause.media_type, media.value):
            return Choice(media, wanted, parameters.get("pretty") == "1")
    return None


def _covers(pattern: str, media_type: str) -> bool:
    return pattern in ("*/*", media_type) or (pattern.endswith("/*") and media_type.startswith(pattern[:-1]))


def _clauses(header: str) -> Sequence[_Clause]:
    """The alternatives, best first: by quality, then the order in which they came, wildcards last."""
    clauses = [_clause(text) for text in header.split(",")[:MAX_CLAUSES] if text.strip()]
    usable = [clause for clause in clauses if clause.quality > 0]
    return sorted(usable, key=lambda clause: (-clause.quality, -clause.specificity))


def _clause(text: str) -> _Clause:
    media_type, *rest = (part.strip() for part in text.split(";"))
    pairs = (part.partition("=") for part in rest)
    parameters = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
    try:
        quality = float(parameters.pop("q", "1"))
    except ValueError:
        quality = 1.0
    if not 0 <= quality <= 1:  # also NaN
        quality = 1.0
    return _Clause(quality, 2 - media_type.count("*"), media_type.lower(), parameters)
