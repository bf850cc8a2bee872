"""What an answer that is not 200 means: for the query, for the endpoint, for the way of asking."""

from typing import NamedTuple
from urllib.parse import urlsplit

from adapter.metrics.prometheus import wire
from adapter.metrics.source import RefusedQuery, SourceError, UnsupportedQuery

_NOT_OF_THE_VERB = (401, 408, 429)
_HINTS = {
    401: "; check its credentials",
    403: "; check its credentials",
    404: "; check the URL's path",
    407: "; check the proxy's credentials",
    503: "; it may be starting",
}


class Failed(Exception):  # noqa: N818 - one endpoint's failure is not yet an error
    """This endpoint did not answer; another one may."""


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    body: bytearray
    location: str = ""
    """Of a redirect."""


def refuses_verb(reply: Reply) -> bool:
    """Whether another verb may be worth a try: what stands before Prometheus answers, not Prometheus itself.

    Gateways say in many ways that they let no POST through: 400, 403, 404, 405, 411, 415, 501.
    """
    of_client = 400 <= reply.status < 500 and reply.status not in _NOT_OF_THE_VERB
    return (of_client or reply.status == 501) and not _envelope(reply).error_type


def judged(reply: Reply) -> Exception:
    """What an answer other than 200 means: Failed, or SourceError where no other endpoint would help."""
    answer, status = _envelope(reply), reply.status
    if answer.error_type and (status in (400, 422, 429) or answer.error_type in ("timeout", "canceled")):
        return _KINDS.get(status, SourceError)(f"Prometheus answered {status}: {wire.refusal(answer)}")
    if answer.error_type:
        return Failed(f"answered {status}: {wire.refusal(answer)}")
    if reply.location:
        return Failed(
            f"answered {status}: it redirects to {_place(reply.location)}, which is not followed, as credentials would"
            " go there; right would be that as the URL"
        )
    return Failed(f"answered {status}{_HINTS.get(status, '')}")


_KINDS: dict[int, type[SourceError]] = {400: UnsupportedQuery, 422: RefusedQuery}


def _envelope(reply: Reply) -> wire.Envelope:
    try:
        return wire.envelope(reply.body)
    except SourceError:
        return wire.Envelope()


def _place(location: str) -> str:
    """The base of the API that a redirect leads to, without secrets."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "a place that is no URL"
    host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""
    return (host + parts.path.partition("/api/v1/")[0])[:300] or "/"
