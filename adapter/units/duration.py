"""Durations as rules files write them: `5m`, `1h30m`, `500ms`, `1d`; also Go's `1.5h`."""

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|[smhdwy])")


def parse(text: str) -> float:
    """Seconds of a duration without sign; `0` needs no unit. Raises ValueError with a sentence.

    The units are those of prometheus/common's model.Duration.
    """
    if text.strip() == "0":
        return 0.0
    seconds, position = 0.0, 0
    while match := _PART.match(text, position):
        seconds += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    if not position or position != len(text):
        raise ValueError(f"{text!r} is no duration; right would be like 5m, 90s or 1h30m")
    return seconds


def show(milliseconds: int) -> str:
    """The shortest text that PromQL reads as that many milliseconds: 5400000 -> '1h30m'."""
    if milliseconds < 0:
        return "-" + show(-milliseconds)
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        text += f"{count}{unit}" * bool(count)
    return text or "0s"
