"""What is made of files (a token, certificates), made again when one of them changes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from adapter.files import Identity, identity
from adapter.metrics.source import SourceError

T = TypeVar("T")


class Loaded(Generic[T]):
    """What is made of some files, made again when one of them changes."""

    def __init__(self, paths: Sequence[str], make: Callable[[], T]) -> None:
        self._paths = [Path(path) for path in paths if path]
        self._make = make
        self._made: tuple[Identity, T] | None = None

    def get(self) -> T:
        """Raises SourceError."""
        try:
            stamp = identity(*self._paths)
            if self._made is None or self._made[0] != stamp:
                self._made = (stamp, self._make())
        except (OSError, UnicodeDecodeError) as error:
            files = getattr(error, "filename", None) or ", ".join(map(str, self._paths)) or "the settings"
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise SourceError(f"cannot use {files} for Prometheus: {why}") from None
        return self._made[1]
