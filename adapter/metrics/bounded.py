"""Reads a body from outside piece by piece, so that neither its size nor its compression can exhaust us."""

import asyncio
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator

GZIP = 31
"""zlib's window bits for a gzip stream."""
STEP = 256 * 1024
"""Bytes inflated at a time at most, some 1 ms of work."""
SLICE = 16 * 1024
"""Bytes given to zlib at a time: it copies what it leaves over."""
MEMBERS = 1000
"""Members of one gzip stream; usual ones have one, those of parallel packers one for every 64 KiB or more."""
_MEMBER_WORK = 4096
"""Bytes that a new member counts as, beside its own, when work is counted."""


class BodyError(ValueError):
    """A body that is too large or not what it says; one sentence."""


class BodySizeError(BodyError):
    """A body over the limit."""


async def read_body(chunks: AsyncIterable[bytes], limit: int, gzip: bool = False) -> bytes:
    """All of `chunks`, inflated if `gzip`, of which there may be `limit` bytes. Raises BodyError."""
    return bytes(await read_large_body(chunks, limit, gzip))


async def read_large_body(chunks: AsyncIterable[bytes], limit: int, gzip: bool = False) -> bytearray:
    """The same without a second copy."""
    body = bytearray()
    async for part in read_parts(chunks, limit, gzip):
        body += part
    return body


async def read_parts(chunks: AsyncIterable[bytes], limit: int, gzip: bool = False) -> AsyncIterator[bytes]:
    """As `read_body`, but part by part, for callers that need not hold the whole body."""
    size = 0
    async for part in _inflate_chunks(chunks) if gzip else chunks:
        size += len(part)
        if size > limit:
            raise BodySizeError(f"the body has more than {limit} bytes{' when inflated' if gzip else ''}")
        yield part


async def inflate(body: bytes, limit: int) -> bytes:
    """A gzip body, inflated to at most `limit` bytes, with turns for others. Raises BodyError."""

    async def whole() -> AsyncIterator[bytes]:
        yield body

    return await read_body(whole(), limit, gzip=True)


async def _inflate_chunks(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Gzip `chunks`, inflated; others may run after each STEP of work, whether or not anything comes out."""
    inflater, done, some = Inflater(), 0, False
    async for chunk in chunks:
        some = some or bool(chunk)
        for part in inflater.feed(chunk):
            yield part
            if inflater.work - done >= STEP:
                done = inflater.work
                await asyncio.sleep(0)
    if some and not inflater.complete:
        raise BodyError("the gzip stream is cut short")


class Inflater:
    """A gzip stream, of one or several members, inflated in steps."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP)
        self._members = 1
        self.work = 0
        """Bytes in and out so far, and some for each member: what the time goes by."""
        self.complete = False
        """Whether the last member has ended."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What `chunk` inflates to, at most STEP bytes at a time, perhaps none. Raises BodyError."""
        for start in range(0, len(chunk), SLICE):
            rest = chunk[start : start + SLICE]
            while rest:
                part, rest = self._step(rest)
                yield part

    def _step(self, given: bytes) -> tuple[bytes, bytes]:
        if self._member.eof:
            self._members += 1
            if self._members > MEMBERS:
                raise BodyError(f"the gzip stream has more than {MEMBERS} members")
            self._member = zlib.decompressobj(GZIP)
            self.work += _MEMBER_WORK
        try:
            part = self._member.decompress(given, STEP)
        except zlib.error as error:
            raise BodyError(f"the body is not gzip: {error}") from error
        self.complete = self._member.eof
        rest = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        self.work += len(given) - len(rest) + len(part)
        return part, rest
