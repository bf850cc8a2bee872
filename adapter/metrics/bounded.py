"""Reads a body from outside piece by piece, so that neither its size nor its compression can exhaust us."""

import asyncio
import zlib
from collections.abc import AsyncIterable, Iterator

GZIP = 31
"""zlib's window bits for a gzip stream."""
STEP = 256 * 1024
"""Bytes inflated at a time; between two steps others may run."""


class BodyError(ValueError):
    """A body that is too large or not what it says; one sentence."""


class BodySizeError(BodyError):
    """A body over the limit."""


async def read_body(chunks: AsyncIterable[bytes], limit: int, gzip: bool = False) -> bytes:
    """All of `chunks`, inflated if `gzip`, of which there may be `limit` bytes. Raises BodyError."""
    parts: list[bytes] = []
    size = 0
    inflater = Inflater()
    async for chunk in chunks:
        for part in inflater.feed(chunk) if gzip else (chunk,):
            size += len(part)
            if size > limit:
                raise BodySizeError(f"the body has more than {limit} bytes{' when inflated' if gzip else ''}")
            parts.append(part)
            if gzip:
                await asyncio.sleep(0)
    if gzip and size and not inflater.complete:
        raise BodyError("the gzip stream is cut short")
    return b"".join(parts)


def inflate(body: bytes, limit: int) -> bytes:
    """A gzip body, inflated to at most `limit` bytes. Raises BodyError."""
    parts: list[bytes] = []
    size = 0
    inflater = Inflater()
    for part in inflater.feed(body):
        size += len(part)
        if size > limit:
            raise BodySizeError(f"the body has more than {limit} bytes when inflated")
        parts.append(part)
    if not inflater.complete:
        raise BodyError("the gzip stream is cut short")
    return b"".join(parts)


class Inflater:
    """A gzip stream, of one or several members, inflated in steps."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP)
        self.complete = False
        """Whether the last member has ended."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What `chunk` inflates to, at most STEP bytes at a time. Raises BodyError."""
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(GZIP)
            try:
                part = self._member.decompress(chunk, STEP)
            except zlib.error as error:
                raise BodyError(f"the body is not gzip: {error}") from error
            self.complete = self._member.eof
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if part:
                yield part
