"""Flags of the peers that have nothing to act on here: taken, so that their manifests serve unchanged."""

from typing import Final, NamedTuple


class Ignored(NamedTuple):
    """Flags of the peers that have nothing to act on here: taken, and named once in the log."""

    bare: frozenset[str] = frozenset()
    """Booleans, which need no value."""
    valued: frozenset[str] = frozenset()

    def __or__(self, other: "Ignored") -> "Ignored":
        return Ignored(self.bare | other.bare, self.valued | other.valued)


NOTHING: Final = Ignored()


def ignored_flags(*, bare: str = "", valued: str = "") -> Ignored:
    """The flags named in `bare` (they need no value) and `valued`: texts of names separated by blanks."""
    return Ignored(frozenset(bare.split()), frozenset(valued.split()))


KLOG: Final = ignored_flags(
    bare="add-dir-header alsologtostderr legacy-stderr-threshold-behavior logtostderr one-output skip-headers "
    "skip-log-headers",
    valued="alsologtostderrthreshold log-backtrace-at log-dir log-file log-file-max-size log-flush-frequency "
    "stderrthreshold vmodule",
)
"""klog's: we write JSON lines to stderr."""
