"""Whether a user may do what a request asks: attributes, verdicts, and who gives them (Kubernetes' authorisation)."""

import time
from collections.abc import Awaitable, Callable, Sequence
from sys import getsizeof
from typing import NamedTuple, Protocol

import structlog
from msgspec import UNSET, Struct
from msgspec.structs import astuple

from adapter.serve.authenticate import AUTHENTICATED, User
from adapter.serve.memo import Memo
from adapter.serve.requestinfo import RequestInfo
from adapter.serve.status import StatusError, forbidden
from adapter.serve.wire import StatusDetails

MAX_VERDICT_BYTES = 16 * 2**20
"""Of all verdicts that are remembered: those of HPAs in 8,192 namespaces."""
MAX_KEY = 10_000
"""Characters of one question; as in Kubernetes, the answer to a longer one is not remembered."""
VERDICT_BYTES = 1024
"""Of one verdict, beside the texts of its question."""
TTL = 10.0
"""s, as --authorization-webhook-cache-(un)authorized-ttl default to."""
GRACE = 30.0
"""s for which an expired allowance still holds while the API server cannot be asked: it restarts in that time."""
PRIVILEGED = "system:masters"
ALWAYS_ALLOWED = ("/healthz", "/readyz", "/livez")

_log = structlog.get_logger(__name__)


class Attributes(Struct, frozen=True, kw_only=True):
    """Who wants to do what. Hashable: the key of verdicts. By keyword alone: no two of its texts are to be swapped."""

    user: User
    verb: str
    path: str = ""
    """Of a request for no resource; '' otherwise."""
    namespace: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""


class Verdict(NamedTuple):
    """Whether it is allowed, and why (or why not), as far as that is known."""

    allowed: bool
    reason: str = ""


ALLOWED = Verdict(True)
Review = Callable[[Attributes], Awaitable[Verdict]]
"""Asks the API server (a SubjectAccessReview). Raises StatusError where it cannot be asked."""


class Authorizer(Protocol):
    """One who may allow."""

    async def authorize(self, attributes: Attributes) -> Verdict | None:
        """The verdict, or None for no opinion. Raises StatusError (503)."""
        ...


def attributes_of(info: RequestInfo, user: User) -> Attributes:
    """What `user` wants with the request."""
    if not info.is_resource:
        return Attributes(user=user, verb=info.verb, path=info.path)
    return Attributes(
        user=user,
        verb=info.verb,
        namespace=info.namespace,
        group=info.group,
        version=info.version,
        resource=info.resource,
        subresource=info.subresource,
        name=info.name,
        field_selector=info.field_selector,
        label_selector=info.label_selector,
    )


class PrivilegedGroups:
    """system:masters may do anything."""

    def __init__(self, groups: Sequence[str] = (PRIVILEGED,)) -> None:
        self._groups = frozenset(groups)

    async def authorize(self, attributes: Attributes) -> Verdict | None:
        """Allows its groups."""
        return ALLOWED if self._groups.intersection(attributes.user.groups) else None


class AlwaysAllowedPaths:
    """Paths that anybody may read; one that ends in '*' stands for all that begin so."""

    def __init__(self, paths: Sequence[str] = ALWAYS_ALLOWED) -> None:
        self._exact = frozenset(path.rstrip("/") for path in paths if not path.endswith("*"))
        self._prefixes = tuple(path[:-1] for path in paths if path.endswith("*"))

    async def authorize(self, attributes: Attributes) -> Verdict | None:
        """Allows its paths."""
        path = attributes.path
        if not path:
            return None
        return ALLOWED if path.rstrip("/") in self._exact or path.startswith(self._prefixes) else None


class AllowAuthenticated:
    """Everybody who is known may read everything: for servers without a cluster."""

    async def authorize(self, attributes: Attributes) -> Verdict | None:
        """Allows system:authenticated."""
        return ALLOWED if AUTHENTICATED in attributes.user.groups else None


class AccessReviews:
    """Verdicts of the API server, remembered.

    While it cannot be asked, an allowance that expired less than `grace` seconds ago still holds, so that the API
    server can restart without HPAs losing their metrics; anything else is then 503.
    """

    def __init__(
        self,
        review: Review,
        *,
        allowed_ttl: float = TTL,
        denied_ttl: float = TTL,
        grace: float = GRACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._review = review
        self._verdicts: Memo[Attributes, Verdict] = Memo(
            MAX_VERDICT_BYTES,
            lambda verdict: allowed_ttl if verdict.allowed else denied_ttl,
            clock,
            grace=grace,
            weigh=_weight,
            apart=_denies_stranger,
            name="verdicts on access",
        )

    async def authorize(self, attributes: Attributes) -> Verdict | None:
        """The API server's verdict."""
        try:
            return await self._verdicts.get(attributes, lambda: self._review(attributes))
        except StatusError as error:
            held = self._verdicts.stale(attributes)
            if held is None or not held.allowed:
                raise
            _log.warning("access cannot be reviewed; the last allowance still holds", cause=error.message)
            return held


def _weight(attributes: Attributes) -> int:
    """Bytes that a verdict on these takes; 0 where they are too long to be remembered."""
    user = attributes.user
    texts = [user.name, user.uid, *user.groups]
    for key, values in user.extra:
        texts += key, *values
    texts += astuple(attributes)[1:]
    return 0 if sum(map(len, texts)) > MAX_KEY else VERDICT_BYTES + sum(map(getsizeof, texts))


def _denies_stranger(attributes: Attributes, verdict: Verdict) -> bool:
    """Anybody can have any number of these."""
    return not verdict.allowed and AUTHENTICATED not in attributes.user.groups


class Authorization:
    """Several authorizers in order; the first opinion counts, and no opinion means no."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    async def check(self, attributes: Attributes) -> None:
        """Raises StatusError: 403 where it is not allowed, 503 where nobody can tell."""
        for authorizer in self._authorizers:
            verdict = await authorizer.authorize(attributes)
            if verdict is not None and verdict.allowed:
                return
            if verdict is not None:
                raise _forbidden(attributes, verdict.reason)
        raise _forbidden(attributes, "")


def _forbidden(attributes: Attributes, reason: str) -> StatusError:
    """403 in Kubernetes' words."""
    who = f'User "{attributes.user.name}" cannot {attributes.verb}'
    because = f": {reason}" if reason else ""
    if attributes.path:
        return forbidden(f'forbidden: {who} path "{attributes.path}"{because}', StatusDetails())
    resource = "/".join(filter(None, (attributes.resource, attributes.subresource)))
    place = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    subject = f"{attributes.resource}.{attributes.group}" + (f' "{attributes.name}"' if attributes.name else "")
    details = StatusDetails(attributes.name or UNSET, attributes.group, attributes.resource)
    text = f'{subject} is forbidden: {who} resource "{resource}" in API group "{attributes.group}" {place}{because}'
    return forbidden(text, details)
