"""The adapter with a wall clock that can be set: `python -m tests.attack.stepped FILE ARGUMENTS…`.

FILE holds a double: by how many seconds `time.time`, by which alone the adapter reads its wall clock, is ahead of the
machine's. The monotonic clocks go on as they do when an administrator sets a machine's time.
"""

import mmap
import struct
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path


def main(file: str, arguments: Sequence[str]) -> int:
    """The adapter's exit code."""
    with Path(file).open("rb") as opened:
        shown = mmap.mmap(opened.fileno(), struct.calcsize("d"), prot=mmap.PROT_READ)
    machines = time.time

    def stepped_time() -> float:
        return machines() + float(struct.unpack("d", shown)[0])

    time.time = stepped_time  # before anything of the adapter takes it
    code: int = import_module("adapter.__main__").main(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
