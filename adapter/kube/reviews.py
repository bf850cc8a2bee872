"""Typed views of the reviews that the API server answers: whose token it is, and who may do what."""

from typing import Any

import msgspec

from adapter.kube.objects import Model


class ResourceAttributes(Model, frozen=True):
    """What is asked about a resource. The selectors are authorization.k8s.io/v1's own objects, or None."""

    namespace: str = ""
    verb: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    field_selector: dict[str, Any] | None = None
    label_selector: dict[str, Any] | None = None


class NonResourceAttributes(Model, frozen=True):
    """What is asked about a path that is no resource."""

    path: str = ""
    verb: str = ""


class SubjectAccessReviewSpec(Model, frozen=True):
    """Who wants to do what."""

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    resource_attributes: ResourceAttributes | None = None
    non_resource_attributes: NonResourceAttributes | None = None


class SubjectAccessReviewStatus(Model, frozen=True):
    """The verdict. Not allowed and not denied means: no rule speaks for it."""

    allowed: bool = False
    denied: bool = False
    reason: str = ""
    evaluation_error: str = ""


class SubjectAccessReview(Model, frozen=True, tag_field="kind", tag="SubjectAccessReview"):
    """authorization.k8s.io/v1 SubjectAccessReview, request and answer."""

    api_version: str = msgspec.field(name="apiVersion", default="")
    spec: SubjectAccessReviewSpec = SubjectAccessReviewSpec()
    status: SubjectAccessReviewStatus | None = None


class TokenReviewSpec(Model, frozen=True):
    """The token in question, and for whom it should be meant."""

    token: str = ""
    audiences: tuple[str, ...] = ()


class UserInfo(Model, frozen=True):
    """Who somebody is."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


class TokenReviewStatus(Model, frozen=True):
    """Whose token it is."""

    authenticated: bool = False
    user: UserInfo = UserInfo()
    audiences: tuple[str, ...] = ()
    error: str = ""


class TokenReview(Model, frozen=True, tag_field="kind", tag="TokenReview"):
    """authentication.k8s.io/v1 TokenReview, request and answer."""

    api_version: str = msgspec.field(name="apiVersion", default="")
    spec: TokenReviewSpec = TokenReviewSpec()
    status: TokenReviewStatus | None = None
