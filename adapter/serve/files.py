"""Whether a file is still the one that was read."""

from pathlib import Path

CHECK_EVERY = 10.0
"""s between looks at the files of certificates and CAs."""


def identity(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file does (also through a link, as Secrets are mounted), or None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
