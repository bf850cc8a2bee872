"""Cutting an endless answer into lines, whatever the pieces it comes in."""

import asyncio
import itertools
from typing import Any, cast

import pytest
from aiohttp import StreamReader
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.kube import lines
from adapter.kube.errors import Undecodable, Unreachable


class Content:
    """A stream that gives these pieces; an exception among them is raised, a number is slept."""

    def __init__(self, *pieces: bytes | float | Exception) -> None:
        self.pieces = list(pieces)

    async def readany(self) -> bytes:
        while self.pieces:
            piece = self.pieces.pop(0)
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, bytes):
                return piece
            await asyncio.sleep(piece)
        return b""


async def read_all(content: Content) -> list[bytes]:
    received, reader = [], lines.Lines(cast(StreamReader, content), "WATCH /x")
    while batch := await reader.read(10):
        received += batch
    return received


@settings(max_examples=200)
@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_any_cut_into_pieces_gives_the_same_lines(text: bytes, cuts: list[Any]) -> None:
    edges = sorted({0, *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in itertools.pairwise((*edges, len(text)))]
    whole = text[: text.rfind(b"\n") + 1]  # what has no end is no line
    assert asyncio.run(read_all(Content(*pieces))) == [line for line in whole.split(b"\n") if line.strip()]


async def test_a_line_of_many_pieces_is_joined() -> None:
    assert await read_all(Content(*[b"x" * 1000] * 1500, b"\n")) == [b"x" * 1_500_000]


async def test_a_line_above_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 100)
    with pytest.raises(Undecodable, match="more than 100 bytes"):
        await read_all(Content(b"x" * 60, b"x" * 60))


@pytest.mark.looptime
async def test_silence_beyond_the_limit_is_unreachable_and_short_of_it_is_not() -> None:
    assert await read_all(Content(9.9, b"a\n", 9.9, b"b\n")) == [b"a", b"b"]
    with pytest.raises(Unreachable, match="nothing came for 10 s"):
        await read_all(Content(b"a\n", 10.1, b"b\n"))


async def test_a_broken_connection_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="ConnectionResetError"):
        await read_all(Content(b"a\n", ConnectionResetError()))
