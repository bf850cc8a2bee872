"""Whether files are still the ones that were read: tokens, certificates and CAs are replaced while programs run."""

from pathlib import Path
from typing import TypeAlias

CHECK_EVERY = 10.0
"""s between looks at the files of certificates and CAs."""

Identity: TypeAlias = tuple[tuple[int, int, int] | None, ...]


def identity(*files: Path) -> Identity:
    """What changes when one of the files does (also through a link, as Secrets are mounted); None for a missing one."""
    return tuple(map(_identity, files))


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
