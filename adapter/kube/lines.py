"""An endless answer, cut into lines as they come.

aiohttp's own line iterator refuses lines above twice its buffer (512 KiB), and objects go to 1.5 MiB; this one refuses
only what no object can be.
"""

import asyncio

import aiohttp

from adapter.kube.errors import Undecodable, Unreachable

MAX_LINE = 8 * 2**20
"""Bytes of one line. etcd's limit makes 1.5 MiB the largest object; encodings and JSON's escapes may enlarge it."""


class Lines:
    """Reads whole lines; remembers the piece of the next one."""

    def __init__(self, content: aiohttp.StreamReader, doing: str) -> None:
        self._content = content
        self._doing = doing
        self._rest: list[bytes] = []
        self._size = 0

    async def read(self, silence: float) -> list[bytes]:
        """The next lines that are complete, without their ends; none at the end of the answer.

        `silence`: seconds to wait for a byte. It counts only while we wait, so a slow consumer is never punished.
        Raises Unreachable (silence, broken connection), Undecodable (a line above MAX_LINE).
        """
        while True:
            chunk = await self._chunk(silence)
            if not chunk:
                return []
            lines = self._split(chunk)
            if lines:
                return lines

    async def _chunk(self, silence: float) -> bytes:
        try:
            async with asyncio.timeout(silence):
                return await self._content.readany()
        except TimeoutError as error:
            raise Unreachable(f"{self._doing}: nothing came for {silence:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{self._doing}: the connection broke ({type(error).__name__})") from error

    def _split(self, chunk: bytes) -> list[bytes]:
        """Pieces of one long line are joined only when it ends, so its cost stays proportional to its length."""
        *whole, rest = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join((*self._rest, whole[0]))
            self._rest, self._size = [], 0
        if rest:
            self._rest.append(rest)
            self._size += len(rest)
        if self._size > MAX_LINE:
            raise Undecodable(f"{self._doing}: a line has more than {MAX_LINE} bytes")
        return [line for line in whole if line.strip()]
