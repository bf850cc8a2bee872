"""Files that a flag, a kubeconfig or a mounted volume names: read within bounds, and whether they have changed since.

Whoever writes the name may mean a device, a pipe that nobody fills or a file of gigabytes. None of it may hold a start
or the event loop, or fill the memory: the file is opened without waiting, and one byte more than allowed is the most
that is read.
"""

import errno
import os
import select
import ssl
import stat
import time
from pathlib import Path
from typing import Final, TypeAlias

CHECK_EVERY = 10.0
"""s between looks at the files of certificates and CAs."""
MOST_TOKEN: Final = 64 << 10
"""Bytes of a file with a token: no server takes a longer header."""
MOST_PEM: Final = 4 << 20
"""Bytes of a file with certificates or a key: all authorities of the web together are 0.3 MB."""
PIPE_S: Final = 5.0
"""s for a pipe to be read to its end, where a person may give one at a start."""
_PIECE = 1 << 20

Identity: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class FileError(OSError):
    """A file that is not read. `strerror` is a clause: what is wrong, what would be right; `filename` its name."""

    def __init__(self, file: Path | str, code: int, clause: str) -> None:
        super().__init__(code, clause, str(file))

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


def read(file: Path | str, most: int, *, pipe_s: float = 0.0) -> bytes:
    """What is in an ordinary file of at most `most` bytes, or in a pipe that ends within `pipe_s` seconds, if any.

    Raises FileError for what is neither, or larger, OSError for what cannot be opened.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            content = _to_the_end(descriptor, most)
        elif stat.S_ISFIFO(mode) and pipe_s:
            content = _of_pipe(file, descriptor, most, time.monotonic() + pipe_s)
        else:
            raise FileError(file, errno.EINVAL, f"it is {_kind(mode)}; an ordinary file would be right")
    except BlockingIOError:
        raise FileError(file, errno.EAGAIN, f"it gave nothing within {pipe_s:g} s; a file would be right") from None
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise FileError(file, errno.EFBIG, f"it has more than {size(most)}; a file of at most that would be right")
    return content


def read_text(file: Path | str, most: int, *, pipe_s: float = 0.0) -> str:
    """As `read`. Raises UnicodeDecodeError, too."""
    return read(file, most, pipe_s=pipe_s).decode()


def check_pem(*files: Path | str | None) -> None:
    """For OpenSSL, which reads files of certificates and keys by their names, to any length. Raises as `read`."""
    for file in files:
        if file:
            read(file, MOST_PEM)


def load_pair(context: ssl.SSLContext, certificate_file: Path | str, key_file: Path | str | None) -> None:
    """Shows this certificate. Raises as `read`, also where the key wants a password: nobody is asked for it."""
    check_pem(certificate_file)
    if b"ENCRYPTED" in read(key_file or certificate_file, MOST_PEM):
        clause = "its key wants a password; a key without one would be right"
        raise FileError(key_file or certificate_file, errno.EINVAL, clause)
    context.load_cert_chain(certificate_file, key_file or None, password=b"")


def size(count: int) -> str:
    """For people: 4 MiB, 64 KiB, 1023 bytes."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} bytes"


def _to_the_end(descriptor: int, most: int) -> bytes:
    """The file's bytes, at most one more than `most`: the caller sees by it that the file is too large."""
    content = bytearray()
    while len(content) <= most and (piece := os.read(descriptor, min(_PIECE, most + 1 - len(content)))):
        content += piece
    return bytes(content)


def _of_pipe(file: Path | str, descriptor: int, most: int, until: float) -> bytes:
    content = bytearray()
    while len(content) <= most:
        if not select.select([descriptor], [], [], max(until - time.monotonic(), 0.0))[0]:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(file))
        if not (piece := os.read(descriptor, min(_PIECE, most + 1 - len(content)))):
            break
        content += piece
    return bytes(content)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a socket"


def identity(*files: Path) -> Identity:
    """What changes when one of the files does (also through a link, as Secrets are mounted); None for a missing one."""
    return tuple(map(_identity, files))


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
