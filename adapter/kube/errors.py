"""What a call to the Kubernetes API can end in, by meaning rather than by HTTP number.

Every error carries the server's `metav1.Status` where it sent one; a body of any other kind is dropped, since it may be
a proxy's page or hold what does not belong in a log. The cause of an `Unreachable` is chained.
"""

from typing import NamedTuple

import msgspec

MAX_MESSAGE = 512
"""Characters of the server's own message that are kept."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """metav1.Status, the body of a refusal and the object of an ERROR event."""

    kind: str = ""
    message: str | None = None
    reason: str | None = None
    code: int | None = None


class KubeError(Exception):
    """A call did not do what was asked.

    `status` is the HTTP status (0 where no answer came), `reason` the machine-readable word of metav1.Status,
    `retry_after` the seconds that the server asks to wait, or None.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        where = f" ({self.status} {self.reason})" if self.status else ""
        return f"{self.message}{where}"


class NotFound(KubeError):  # noqa: N818 - these are Kubernetes' own names
    """404: no such object, or no such resource on this server."""


class Forbidden(KubeError):  # noqa: N818
    """403: RBAC does not allow it (or admission refused)."""


class Unauthorized(KubeError):  # noqa: N818
    """401: the credentials are unknown or expired."""


class Conflict(KubeError):  # noqa: N818
    """409: the object changed since it was read."""


class AlreadyExists(Conflict):
    """409 with reason AlreadyExists: a create found the name taken."""


class Gone(KubeError):  # noqa: N818
    """410: the resource version, or the continue token, is too old; only a fresh list helps."""


class TooManyRequests(KubeError):  # noqa: N818
    """429: the server sheds load; see `retry_after`."""


class ServerError(KubeError):
    """5xx: the server, or what it forwards to, failed."""


class Unreachable(KubeError):  # noqa: N818
    """No whole answer came: refused, reset, timed out, silent, TLS. `status` is 0."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)


class Undecodable(KubeError):  # noqa: N818
    """The answer came, but is not what was asked for, or is larger than any object can be. `status` is 0."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Undecodable", message)


class Skipped(NamedTuple):
    """An object that cannot be read: which, '' where not even that can be read, and why."""

    namespace: str
    name: str
    why: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.namespace, self.name) if part) or "an object without a name"


_BY_CODE: dict[int, type[KubeError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    429: TooManyRequests,
}
_decoder = msgspec.json.Decoder(Status)


def from_response(code: int, body: bytes, doing: str, retry_after: float | None = None) -> KubeError:
    """The error that an answer with HTTP status `code` means; `doing` says what was asked ('GET /api/v1/pods')."""
    try:
        status = _decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        status = Status()
    if status.kind != "Status":
        status = Status()
    return from_status(msgspec.structs.replace(status, code=code), doing, retry_after)


def from_status(status: Status, doing: str, retry_after: float | None = None) -> KubeError:
    """The error that a metav1.Status means."""
    code = status.code or 500
    reason = (status.reason or "Unknown")[:64]
    text = (status.message or "the server gave no reason")[:MAX_MESSAGE]
    kind = _BY_CODE.get(code, ServerError if code >= 500 else KubeError)
    if kind is Conflict and reason == "AlreadyExists":
        kind = AlreadyExists
    return kind(code, reason, f"{doing}: {text}", retry_after)
