"""Lets policies go where no controller does it: from their deletion on, the turns that the controller would take.

The same decisions and guards, so a controller that runs after all is no danger: of two writes one is refused.
"""

import asyncio
import time
from collections.abc import Callable

from adapter.kube.client import Client
from adapter.kube.errors import Forbidden, KubeError, NotFound
from adapter.rollout.act import Writer, verb
from adapter.rollout.leftovers import leftovers
from adapter.rollout.model.actions import delete, patch, put
from adapter.rollout.model.observation import Json, Seen
from adapter.rollout.model.policy import FINALIZER, POLICIES
from adapter.rollout.model.status import Phase
from adapter.rollout.observe import Reader
from adapter.rollout.turns import Deaf, Turned, Turns

MOST_AT_ONCE = 8
"""Policies that are let go at the same time."""
LONGEST_PAUSE = 1.0
"""Seconds between two turns: nothing wakes us."""


async def policies(client: Client, namespace: str) -> list[tuple[str, str]]:
    """(namespace, name) of all policies of a namespace, or ('') of all. Raises KubeError."""
    try:
        items = (await client.list(POLICIES.path(namespace), dict)).items
    except NotFound:
        return []  # the definition is not installed
    return sorted((raw["metadata"]["namespace"], raw["metadata"]["name"]) for raw in items)


class Uninstaller:
    """Deletes policies and does what their finalizer stands for; `say` gets a line for everything that it does."""

    def __init__(
        self, client: Client, *, say: Callable[[str], None], patience: float, wall: Callable[[], float] = time.time
    ) -> None:
        """`patience`: seconds after which a policy that is not gone is left, or forced."""
        self._client, self._say, self._patience, self._wall = client, say, patience, wall
        self._reader, self._writer, self._turns = Reader(client), Writer(client), Turns(client, Deaf())
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def let_go(self, namespace: str, name: str, *, force: bool = False) -> bool:
        """Whether the policy is gone, with everything as it was before it. Raises Forbidden.

        `force`: where it is not gone in time, its finalizer is removed, and what is left of it is said.
        """
        async with self._room:
            try:
                async with asyncio.timeout(self._patience):
                    await self._ask(namespace, name)
                    await self._follow(namespace, name)
                return True
            except TimeoutError:
                return await self._late(namespace, name, force=force)

    async def _ask(self, namespace: str, name: str) -> None:
        """Deletes the policy; one that has taken its Deployment over holds on until that is ordinary again."""
        while (raw := await self._raw(namespace, name)) is not None:
            meta, phase = raw["metadata"], (raw.get("status") or {}).get("phase") or Phase.PENDING.value
            held = list(meta.get("finalizers") or ())
            if meta.get("deletionTimestamp"):
                self._say(f"{namespace}/{name}: is being deleted, phase {phase}")
                return
            if phase != Phase.PENDING and FINALIZER not in held:
                why = "the policy is not gone before the Deployment is ordinary again"
                action = patch(POLICIES, Seen(raw), [put("/metadata/finalizers", [*held, FINALIZER])], why)
                await self._writer.act(namespace, [action])
                continue
            if (await self._writer.act(namespace, [delete(POLICIES, Seen(raw), "uninstall")])).made:
                self._say(f"{namespace}/{name}: deleted, phase {phase}")
                return

    async def _follow(self, namespace: str, name: str) -> None:
        """Turns until the policy is gone."""
        said = ""
        while True:
            try:
                turned = await self._turns.turn(namespace, name, self._wall())
            except Forbidden:
                raise
            except (KubeError, ValueError) as error:
                turned = Turned(LONGEST_PAUSE, said=str(error))
            for action in turned.made:
                self._say(f"{namespace}/{name}: {verb(action)} {action.name}: {action.why}")
            if turned.status is None and not turned.said:
                self._say(f"{namespace}/{name}: gone")
                return
            if turned.said != said and turned.said:
                self._say(f"{namespace}/{name}: again: {turned.said}")
            said = turned.said
            await asyncio.sleep(min(turned.again, LONGEST_PAUSE))

    async def _late(self, namespace: str, name: str, *, force: bool) -> bool:
        """Says what the policy waits for; with `force` its finalizer goes all the same."""
        raw = await self._raw(namespace, name)
        if raw is None:
            return True
        status = raw.get("status") or {}
        waits = f"phase {status.get('phase') or Phase.PENDING}: {status.get('message') or 'nothing was done yet'}"
        if not force:
            self._say(f"{namespace}/{name}: not gone in time, {waits}; --force removes its finalizer all the same")
            return False
        remains = await self._leftovers(namespace, name)
        held = [each for each in raw["metadata"].get("finalizers") or () if each != FINALIZER]
        action = patch(POLICIES, Seen(raw), [put("/metadata/finalizers", held)], "forced")
        done = await self._writer.act(namespace, [action])
        self._say(f"{namespace}/{name}: {waits}; finalizer {'removed' if done.made else f'not removed: {done.said}'}")
        for line in remains:
            self._say(f"{namespace}/{name}: left: {line}")
        return False

    async def _leftovers(self, namespace: str, name: str) -> list[str]:
        try:
            current = await self._reader.policy(namespace, name)
            if current is None:
                return []
            return list(leftovers(current.policy, await self._reader.observe(current.policy, current.raw)))
        except (KubeError, ValueError) as error:
            return [f"what else is not known: {error}"]

    async def _raw(self, namespace: str, name: str) -> Json | None:
        try:
            return await self._client.get(POLICIES.path(namespace, name), dict)
        except NotFound:
            return None
