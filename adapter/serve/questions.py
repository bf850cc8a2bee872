"""From a request's path and query to the question that it asks. Pure; raises StatusError for what is none."""

from adapter.collect.answer import CustomQuestion, ExternalQuestion
from adapter.kube.resources import GroupResource
from adapter.rooms import Room
from adapter.serve.requestinfo import RequestInfo
from adapter.serve.status import StatusError, bad_request, no_such_path
from adapter.serve.wire import StatusCause, StatusDetails
from adapter.units.requirement import INEQUALITIES
from adapter.units.selector import Selector, SelectorError

SELECTOR_BYTES = 8 * 2**20
"""Of all selectors that are remembered."""
MAX_REMEMBERED = 512
"""Characters up to which a selector that has been read is remembered."""
EVERYTHING = Selector()
NAMESPACES = GroupResource("", "namespaces")
_FIELDS = ("metadata.name", "metadata.namespace")


def custom_question(info: RequestInfo, user: str) -> CustomQuestion:
    """The question of a path of custom.metrics.k8s.io (see docs/api.md for the paths)."""
    resource, namespace, name, metric = _custom_path(info)
    fields = field_selector(info)
    if fields.get("metadata.name", name) != name:
        raise bad_request("fieldSelector metadata.name doesn't match requested name")
    if fields.get("metadata.namespace", namespace) != namespace:
        raise bad_request("fieldSelector metadata.namespace doesn't match requested namespace")
    return CustomQuestion(
        resource=resource,
        namespace=namespace,
        name=name,
        metric=metric,
        selector=label_selector(info),
        metric_selector=metric_selector(info, "metricLabelSelector"),
        user=user,
    )


def external_question(info: RequestInfo, user: str) -> ExternalQuestion:
    """The question of a path of external.metrics.k8s.io: `namespaces/<namespace>/<metric>` and nothing else."""
    if not info.namespace or len(info.parts) != 1:
        raise no_such_path()
    return ExternalQuestion(
        namespace=info.namespace, metric=info.resource, selector=metric_selector(info, "labelSelector"), user=user
    )


def _custom_path(info: RequestInfo) -> tuple[GroupResource, str, str, str]:
    match info.parts:
        case ("metrics", metric) if info.namespace:
            return NAMESPACES, "", info.namespace, metric
        case (_,) if info.namespace:
            raise bad_request("invalid request path")
        case ("namespaces", _, _):
            raise bad_request("invalid request path")
        case (resource, name, metric):
            plural, _, group = resource.partition(".")
            return GroupResource(group, plural), info.namespace, name, metric
        case _:
            raise no_such_path()


def label_selector(info: RequestInfo) -> Selector:
    """The `labelSelector` parameter, of objects' labels."""
    return _selector(info, "labelSelector", strict=True)


def metric_selector(info: RequestInfo, parameter: str) -> Selector:
    """A selector of a metric's labels: values may be anything, since regular expressions are passed through.

    `>` and `<` are refused, because no source can answer them.
    """
    selector = _selector(info, parameter, strict=False)
    for requirement in selector.requirements:
        if requirement.operator in INEQUALITIES:
            raise _bad_parameter(parameter, f"{requirement}: '>' and '<' cannot be asked of a metric's labels")
    return selector


def _selector(info: RequestInfo, parameter: str, strict: bool) -> Selector:
    text = info.parameter(parameter)
    if not text:
        return EVERYTHING
    try:
        return _read(text, strict)
    except SelectorError as error:
        raise _bad_parameter(parameter, str(error)) from error


_remembered: Room[tuple[str, bool], Selector] = Room("selectors", SELECTOR_BYTES)


def _read(text: str, strict: bool) -> Selector:
    """Raises SelectorError."""
    if len(text) > MAX_REMEMBERED:
        return Selector.parse(text, strict)
    if (known := _remembered.get((text, strict))) is not None:
        return known
    selector = Selector.parse(text, strict)
    return _remembered.put((text, strict), selector, 1024 + 8 * len(text) + 512 * len(selector.requirements))


def _bad_parameter(parameter: str, problem: str) -> StatusError:
    details = StatusDetails(causes=[StatusCause("FieldValueInvalid", problem, parameter)])
    return StatusError(400, reason="BadRequest", message=f"{parameter}: {problem}", details=details)


def field_selector(info: RequestInfo) -> dict[str, str]:
    """The `fieldSelector` parameter: exact matches of metadata.name and metadata.namespace."""
    fields: dict[str, str] = {}
    for term in filter(None, info.parameter("fieldSelector").split(",")):
        key, equals, value = term.partition("=")
        if key not in _FIELDS or not equals:
            problem = f"{term!r} is not known here: only metadata.name=… and metadata.namespace=… are"
            raise _bad_parameter("fieldSelector", problem)
        fields[key] = value.removeprefix("=")
    return fields
