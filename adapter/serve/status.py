"""Everything that goes wrong, as the metav1.Status that the client gets."""

from collections.abc import Sequence

from msgspec import UNSET

from adapter.serve.wire import NO_LIST_META, Status, StatusCause, StatusDetails

RETRY_AFTER = 1
"""s; what a client is told to wait where we cannot know better."""


class StatusError(Exception):
    """A request that ends in an error; `code` is the HTTP status, the text is one sentence with the cause."""

    def __init__(
        self, code: int, *, reason: str, message: str, details: StatusDetails | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after

    def status(self) -> Status:
        """The object for the wire."""
        details = UNSET if self.details is None else self.details
        return Status(
            kind="Status",
            api_version="v1",
            metadata=NO_LIST_META,
            status="Failure",
            message=self.message,
            reason=self.reason,
            details=details,
            code=self.code,
        )


def bad_request(message: str) -> StatusError:
    """400: the request itself is wrong."""
    return StatusError(400, reason="BadRequest", message=message)


def unauthorized() -> StatusError:
    """401; says no more than Kubernetes does, since the caller is a stranger."""
    return StatusError(401, reason="Unauthorized", message="Unauthorized")


def forbidden(message: str, details: StatusDetails) -> StatusError:
    """403."""
    return StatusError(403, reason="Forbidden", message=message, details=details)


def not_found(message: str, details: StatusDetails | None = None) -> StatusError:
    """404."""
    return StatusError(404, reason="NotFound", message=message, details=details)


def no_such_path() -> StatusError:
    """404 for a path inside an API group that means nothing, in Kubernetes' words."""
    return not_found("the server could not find the requested resource", StatusDetails())


def method_not_allowed(message: str, details: StatusDetails | None = None) -> StatusError:
    """405."""
    return StatusError(405, reason="MethodNotAllowed", message=message, details=details)


def not_acceptable(accepted: Sequence[str]) -> StatusError:
    """406; `accepted` are the media types that would have been right."""
    return StatusError(
        406, reason="NotAcceptable", message=f"only the following media types are accepted: {', '.join(accepted)}"
    )


def too_many_requests() -> StatusError:
    """429: the server holds as many requests as it may."""
    message = "too many requests are in progress, please try again later"
    return StatusError(
        429,
        reason="TooManyRequests",
        message=message,
        details=StatusDetails(retry_after_seconds=RETRY_AFTER),
        retry_after=RETRY_AFTER,
    )


def too_large_a_head() -> StatusError:
    """431: the request line and the headers are longer than the server reads."""
    return StatusError(
        431,
        reason="RequestHeaderFieldsTooLarge",
        message="the request line and the headers are too long together; a shorter selector would be right",
    )


def internal() -> StatusError:
    """500: our fault; the log has the cause, the client must not."""
    message = "Internal error occurred: the adapter's log tells more"
    return StatusError(
        500,
        reason="InternalError",
        message=message,
        details=StatusDetails(causes=[StatusCause(message="internal error")]),
    )


def unanswerable(cause: str) -> StatusError:
    """500: it can never be had; `cause` is one sentence, for whoever wrote the rule."""
    details = StatusDetails(causes=[StatusCause(message=cause)])
    return StatusError(500, reason="InternalError", message=f"Internal error occurred: {cause}", details=details)


def unavailable(cause: str, *, soon: bool = False) -> StatusError:
    """503: it cannot be had now; `cause` is one sentence.

    Only what may be there in a second (`soon`) asks the client to wait for it: client-go repeats what has a Retry-After
    up to ten times, and one of the HPA controller's few workers sleeps the while.
    """
    retry_after = RETRY_AFTER if soon else 0
    details = StatusDetails(retry_after_seconds=retry_after) if soon else StatusDetails()
    return StatusError(503, reason="ServiceUnavailable", message=cause, details=details, retry_after=retry_after)


def timed_out(seconds: float) -> StatusError:
    """504: no answer within the server's own limit, `seconds`."""
    message = f"the answer took longer than the server's limit of {seconds:g} s"
    return StatusError(504, reason="Timeout", message=message, details=StatusDetails())
