"""Asking the API server: whose token it is, who may do what, and which CAs clients have."""

from typing import Any

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.informer import Informer
from adapter.kube.objects import ConfigMap
from adapter.kube.resources import CONFIG_MAPS, SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from adapter.kube.reviews import (
    NonResourceAttributes,
    ResourceAttributes,
    SubjectAccessReview,
    SubjectAccessReviewSpec,
    TokenReview,
    TokenReviewSpec,
)
from adapter.serve.authenticate import User
from adapter.serve.authorize import Attributes, Verdict
from adapter.serve.status import unavailable
from adapter.serve.trust import CONFIG_MAP, CONFIG_MAP_NAMESPACE, Trust
from adapter.units.requirement import EXPRESSION_OF, Requirement
from adapter.units.selector import Selector, SelectorError

TIMEOUT = 10.0
"""s for one review, as in Kubernetes."""

_log = structlog.get_logger(__name__)


class Reviews:
    """TokenReviews and SubjectAccessReviews of one API server."""

    def __init__(self, *, tokens: Client, access: Client | None = None) -> None:
        """`access` is for SubjectAccessReviews where that is another client (--authorization-kubeconfig)."""
        self._tokens = tokens
        self._access = access or tokens

    async def review_token(self, token: str) -> User | None:
        """Whose token it is, or None where it is nobody's. Raises StatusError (503)."""
        body = TokenReview(api_version="authentication.k8s.io/v1", spec=TokenReviewSpec(token=token))
        try:
            answer = await self._tokens.create(TOKEN_REVIEWS.path(), body, TokenReview, timeout=TIMEOUT)
        except KubeError as error:
            raise _cannot_ask("the token cannot be reviewed", error) from error
        if answer.status is None or not answer.status.authenticated:
            return None
        who = answer.status.user
        return User(who.username, who.groups, who.uid, tuple(sorted(who.extra.items())))

    async def review_access(self, attributes: Attributes) -> Verdict:
        """The API server's verdict on `attributes`. Raises StatusError (503)."""
        body = SubjectAccessReview(api_version="authorization.k8s.io/v1", spec=_spec(attributes))
        try:
            answer = await self._access.create(
                SUBJECT_ACCESS_REVIEWS.path(), body, SubjectAccessReview, timeout=TIMEOUT
            )
        except KubeError as error:
            raise _cannot_ask("access cannot be reviewed", error) from error
        status = answer.status
        if status is None:
            return Verdict(False)
        return Verdict(status.allowed and not status.denied, status.reason or status.evaluation_error)


def _cannot_ask(what: str, error: KubeError) -> Exception:
    """503: what is wrong between us and the API server is logged, and told only in kind."""
    _log.warning(what, cause=str(error))
    kind = (
        "the Kubernetes API cannot be reached" if error.status == 0 else f"the Kubernetes API refused ({error.status})"
    )
    return unavailable(f"{what}: {kind}")


def _spec(attributes: Attributes) -> SubjectAccessReviewSpec:
    user = attributes.user
    resource: ResourceAttributes | None = None
    path: NonResourceAttributes | None = None
    if attributes.path:
        path = NonResourceAttributes(path=attributes.path, verb=attributes.verb)
    else:
        resource = ResourceAttributes(
            namespace=attributes.namespace,
            verb=attributes.verb,
            group=attributes.group,
            version=attributes.version,
            resource=attributes.resource,
            subresource=attributes.subresource,
            name=attributes.name,
            field_selector=_fields(attributes.field_selector),
            label_selector=_labels(attributes.label_selector),
        )
    return SubjectAccessReviewSpec(
        user=user.name,
        uid=user.uid,
        groups=user.groups,
        extra=dict(user.extra),
        resource_attributes=resource,
        non_resource_attributes=path,
    )


def _labels(text: str) -> dict[str, Any] | None:
    """The selector as requirements; one that Kubernetes cannot read is left out, as it does: that asks for more.

    A metric's selector may hold what no label's value can be (`queue in (o.*)`); a review with that is refused (422).
    """
    try:
        requirements = Selector.parse(text).requirements
    except SelectorError:
        return None
    if not requirements or any(requirement.operator not in EXPRESSION_OF for requirement in requirements):
        return None
    return {"requirements": [_label(requirement) for requirement in requirements]}


def _label(requirement: Requirement) -> dict[str, Any]:
    written: dict[str, Any] = {"key": requirement.key, "operator": EXPRESSION_OF[requirement.operator]}
    return {**written, "values": list(requirement.values)} if requirement.values else written


def _fields(text: str) -> dict[str, Any] | None:
    requirements = []
    for term in filter(None, text.split(",")):
        key, equals, value = term.partition("=")
        operator = "NotIn" if key.endswith("!") else "In"
        if not equals or not (key := key.removesuffix("!")):
            return None
        requirements.append({"key": key, "operator": operator, "values": [value.removeprefix("=")]})
    return {"requirements": requirements} if requirements else None


def follow_trust(client: Client, trust: Trust) -> Informer[ConfigMap]:
    """An informer that keeps `trust` at what the cluster's ConfigMap says; its `run` is the caller's to start.

    It lists and watches that one object by name, since the role that is made for this allows no more. When the object
    goes away, what it last said holds.
    """
    informer = Informer(
        client,
        CONFIG_MAPS,
        ConfigMap,
        namespace=CONFIG_MAP_NAMESPACE,
        field_selector=f"metadata.name={CONFIG_MAP}",
    )

    def learn(_: ConfigMap | None, new: ConfigMap | None) -> None:
        if new is not None:
            trust.learn(new.data)

    informer.index.on_change(learn)
    return informer
