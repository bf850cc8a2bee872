"""What an answer that is not 200 means: for the query, for the endpoint, for the way of asking."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from adapter.metrics.prometheus import wire
from adapter.metrics.series_text import cut
from adapter.metrics.source import RefusedQuery, SourceError, UnsupportedQuery

_NOT_OF_THE_VERB = (401, 408, 429)
_HINTS = {
    401: "; check its credentials",
    403: "; check its credentials",
    404: "; check the URL's path",
    407: "; check the proxy's credentials",
    503: "; it may be starting",
}


_TITLE: Final = re.compile(rb"<title>\s*([^<]{1,200})", re.IGNORECASE)
SAID_IN: Final = 65_536
"""Bytes of an answer that is no answer in which its words are looked for."""


class Failed(Exception):  # noqa: N818 - one endpoint's failure is not yet an error
    """This endpoint did not answer; another one may."""

    def __init__(self, cause: str, said: str = "") -> None:
        """`said`: what the server, or what stands before it, says of it; it may repeat the query."""
        super().__init__(cause + said)
        self.cause = cause


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


def reply_error(reply: Reply) -> Exception:
    """The error for an answer other than 200: Failed, or SourceError where no other endpoint would help."""
    answer, status = _envelope(reply), reply.status
    if answer.error_type and (status in (400, 422, 429) or answer.error_type in ("timeout", "canceled")):
        return _KINDS.get(status, SourceError)(f"Prometheus answered {status}: {wire.refusal(answer)}")
    if answer.error_type:
        return Failed(f"answered {status}", f": {wire.refusal(answer)}")
    if reply.location:
        return Failed(
            f"answered {status}: it redirects to {_place(reply.location)}, which is not followed, as credentials would"
            " go there; right would be that as the URL"
        )
    return Failed(f"answered {status}{_HINTS.get(status, '')}", _quote_body(reply.body))


def objection(reply: Reply) -> Failed | None:
    """What is wrong with an answer of 200 that is none of Prometheus; another endpoint's may be one."""
    if reply.body[:64].lstrip()[:1] == b"{":
        return None
    why = "answered 200 with what is no JSON of Prometheus' API; does the URL lead to Prometheus?"
    return Failed(why, _quote_body(reply.body))


def _quote_body(body: bytearray) -> str:
    """The words of an answer that is not Prometheus' own, such as 'no org id'; '' where there are none for people.

    Text as it is, the title of HTML, of JSON the `message` or `error` that gateways and clouds write.
    """
    start = bytes(body[:SAID_IN]).strip()
    if start.startswith(b"<"):
        title = _TITLE.search(start)
        text = title[1] if title else b""
    else:
        text = _message(start) if start.startswith(b"{") else start
    words = " ".join(text[:1000].decode(errors="replace").split())
    return f" (it says {cut(words, 200)})" if words and words.isprintable() else ""


def _message(text: bytes) -> bytes:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return b""
    for key in ("message", "error", "detail"):
        value = document.get(key)
        value = value.get("message") if isinstance(value, Mapping) else value
        if isinstance(value, str):
            return value.encode(errors="replace")
    return b""


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
