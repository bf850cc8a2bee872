"""Makes the writes of a decision, in their order, each guarded by what was seen.

The first that is refused ends the turn: everything is read again and decided anew. So no error needs a repair here.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import structlog

from adapter.kube.client import JSON_PATCH, Client
from adapter.kube.errors import AlreadyExists, Conflict, Forbidden, KubeError, NotFound, TooManyRequests
from adapter.rollout.model.actions import Action, Create, Delete, Patch
from adapter.spans import Kind, span

log = structlog.get_logger(__name__)
INVALID = 422
"""A failed test of a JSON patch; also an object that the server does not take."""


class Ended(Enum):
    """How a turn's writes ended."""

    DONE = "done"
    CHANGED = "changed"
    """Something is not as it was seen: read again at once."""
    REFUSED = "refused"
    """The server does not allow or does not take it: only a change of something else helps."""
    FAILED = "failed"
    """The server sheds load or was not reached; whether the write was made is not known."""


class Result(NamedTuple):
    """The end of a turn's writes."""

    ended: Ended
    said: str = ""
    pause: float = 0.0
    """Seconds to wait before the next turn."""
    made: tuple[Action, ...] = ()
    """The writes that succeeded."""


class Writer:
    """Writes for one namespace at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def act(self, namespace: str, actions: Sequence[Action]) -> Result:
        """Makes the writes until one does not succeed."""
        made: list[Action] = []
        for action in actions:
            try:
                with span(verb(action), {"streamgate.object.name": action.name}, kind=Kind.CLIENT):
                    await self._write(namespace, action)
            except AlreadyExists:
                continue
            except KubeError as error:
                return failure(error, action)._replace(made=tuple(made))
            made.append(action)
            log.info("written", namespace=namespace, verb=verb(action), name=action.name, why=action.why)
        return Result(Ended.DONE, made=tuple(made))

    async def _write(self, namespace: str, action: Action) -> None:
        if isinstance(action, Create):
            await self._client.create(action.resource.path(namespace), action.body, dict)
        elif isinstance(action, Patch):
            path = action.resource.path(namespace, action.name)
            await self._client.patch(path, list(action.operations), dict, content=JSON_PATCH)
        else:
            await self._client.delete(action.resource.path(namespace, action.name), body=options(action))


def options(action: Delete) -> dict[str, object]:
    """metav1.DeleteOptions: only the object that was seen."""
    seen = {"uid": action.uid, "resourceVersion": action.version}
    return {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": action.propagation,
        "preconditions": seen,
    }


def verb(action: Action) -> str:
    """'patch services', for people."""
    return f"{type(action).__name__.lower()} {action.resource.plural}"


def failure(error: KubeError, action: Action) -> Result:
    """What a refused write means for the next turn."""
    said = f"{verb(action)} {action.name}: {error}"
    changed = isinstance(error, Conflict | NotFound) or (error.status == INVALID and isinstance(action, Patch))
    if changed:
        return Result(Ended.CHANGED, said, 0.2)
    if isinstance(error, Forbidden) or error.status in (400, INVALID):
        log.warning("refused", cause=said)
        return Result(Ended.REFUSED, said, 5.0)
    if not isinstance(error, TooManyRequests):
        log.warning("not written", cause=said)
    return Result(Ended.FAILED, said, max(1.0, min(error.retry_after or 0.0, 30.0)))
