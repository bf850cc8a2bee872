"""Notifications to receivers that a policy names. No turn waits for one: they stand in a line per namespace.

A namespace's receivers are told one after the other, so a slow one delays its own namespace's notifications alone; what
does not fit in the line is dropped, the oldest first, and counted. A restart forgets the line: Events are the record.
"""

import asyncio
import base64
import binascii
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.once import Once
from adapter.rollout.model import notice
from adapter.rollout.model.actions import SECRETS, Told
from adapter.rollout.model.policy import Receiver, RolloutPolicy, SecretKey
from adapter.rollout.outside import OutsideError

log = structlog.get_logger(__name__)

LINE: Final = 32
"""Notifications of a namespace that wait; one more drives out the oldest."""
TRIES: Final = 2
PAUSE: Final = 1.0
"""Seconds before the second try."""
OPEN: Final = "streamgate.io/notifications"
"""A label, "true", on Secrets that policies may name: else who may write a policy could have any Secret sent away."""


class SecretError(Exception):
    """A Secret cannot be used; one sentence."""


class Post(Protocol):
    """Sends a body to a URL that a policy names."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer. Raises OutsideError."""
        ...


class _Waiting(NamedTuple):
    receiver: Receiver
    place: int
    policy: str
    body: bytes


class Notifier:
    """Holds the lines; `counted` is told what became of each: sent, failed or dropped."""

    def __init__(
        self,
        client: Client,
        outside: Post,
        counted: Callable[[str], None] = lambda result: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._outside, self._counted = client, outside, counted
        self._lines: dict[str, deque[_Waiting]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._once = Once(clock=clock)

    def tell(self, policy: RolloutPolicy, told: Sequence[Told], now: float) -> None:
        """Puts what receivers want to hear in the namespace's line; never waits."""
        namespace = policy.metadata.namespace
        for one in told:
            for index, receiver in enumerate(policy.spec.notifications):
                if not notice.is_wanted(receiver, one):
                    continue
                line = self._lines.setdefault(namespace, deque())
                if len(line) == LINE:
                    line.popleft()
                    self._counted("dropped")
                line.append(_Waiting(receiver, index, policy.metadata.name, notice.body(receiver, policy, one, now)))
        if self._lines.get(namespace) and namespace not in self._tasks:
            self._tasks[namespace] = asyncio.create_task(self._send_all(namespace), name=f"notify {namespace}")

    async def stop(self) -> None:
        """Nothing is sent any more; what waits is dropped."""
        tasks: list[asyncio.Task[Any]] = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._lines.clear()
        self._tasks.clear()

    async def _send_all(self, namespace: str) -> None:
        line = self._lines[namespace]
        try:
            while line:
                await self._send(namespace, line.popleft())
        finally:
            self._lines.pop(namespace, None)
            self._tasks.pop(namespace, None)

    async def _send(self, namespace: str, waiting: _Waiting) -> None:
        key, said = (namespace, waiting.policy, waiting.place), ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE)
            try:
                status = await self._try(namespace, waiting)
            except (KubeError, SecretError, OutsideError) as error:
                said = str(error)
                continue
            if status < 300:
                self._counted("sent")
                self._once.over(key)
                return
            said = f"the receiver answered {status}"
            if status < 500 and status != 429:
                break  # it will not take it the second time either
        self._counted("failed")
        if self._once.first(key, said):
            field = f"spec.notifications[{waiting.place}]"
            log.warning("not notified", namespace=namespace, policy=waiting.policy, field=field, cause=said)

    async def _try(self, namespace: str, waiting: _Waiting) -> int:
        receiver = waiting.receiver
        url = receiver.url or await self._secret(namespace, receiver.url_from or SecretKey())
        headers = {"Content-Type": "application/json", "User-Agent": "streamgate-rollout"}
        if receiver.token_from is not None:
            headers["Authorization"] = f"Bearer {await self._secret(namespace, receiver.token_from)}"
        return await self._outside.post(url, waiting.body, headers)

    async def _secret(self, namespace: str, ref: SecretKey) -> str:
        """The text that a Secret holds, read anew each time, so that a rotated one counts. Raises SecretError."""
        if not ref.secret or not ref.key:
            raise SecretError("neither a URL nor a Secret with a key is named")
        secret = await self._client.get(SECRETS.path(namespace, ref.secret), dict)
        if (secret.get("metadata", {}).get("labels") or {}).get(OPEN) != "true":
            raise SecretError(f'Secret {ref.secret} may not be sent: it has no label {OPEN}: "true"')
        try:
            text = base64.b64decode((secret.get("data") or {})[ref.key], validate=True).decode().strip()
        except (KeyError, binascii.Error, UnicodeDecodeError):
            raise SecretError(f"Secret {ref.secret} has no text under key {ref.key}") from None
        if not text.isprintable() or not text:
            raise SecretError(f"Secret {ref.secret}: key {ref.key} is no line of text")
        return text
