"""What a name in a flag, a kubeconfig or a mounted volume may mean beside a file of a sensible size."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Make: TypeAlias = Callable[[Path], Path]
"""Makes it in a folder."""


def fifo(folder: Path) -> Path:
    """A pipe that nobody writes to."""
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def large(folder: Path) -> Path:
    """A gigabyte, without a block on the disk."""
    file = folder / "large"
    with file.open("wb") as opened:
        opened.truncate(1 << 30)
    return file


AWKWARD: list[tuple[Make, str]] = [
    (lambda _: Path("/dev/zero"), "it is a device; an ordinary file would be right"),
    (fifo, "it is a pipe; an ordinary file would be right"),
    (lambda folder: folder, "it is a directory; an ordinary file would be right"),
    (large, "it has more than MOST; a file of at most that would be right"),
]
"""With what is said of it; MOST is the bound of the reader."""
