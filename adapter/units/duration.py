"""Durations, s: Go's (`parse_go`: `1h30m`, `1.5s`, `100us`), Prometheus' (`parse_prometheus`: `8d`, `1h30m`), and both
mixed, as rules files may have them (`parse_mixed`: `1.5h`, `1d`).
"""

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|[smhdwy])")


def parse_mixed(text: str) -> float:
    """Seconds of a duration without sign; `0` needs no unit. Raises ValueError with a sentence.

    The units are those of prometheus/common's model.Duration, in any order, with decimals as Go takes them.
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


_GO_NANOSECONDS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_GO_PART = re.compile(r"([0-9]{0,40})(?:\.([0-9]{0,40}))?(ns|us|µs|μs|ms|s|m|h)")
_LONGEST = 2**63 - 1
"""ns: Go's time.Duration is an int64."""


def parse_go(text: str) -> float:
    """Seconds of Go's time.ParseDuration: `1h30m`, `100us`, `1.5s`, `-1m`, `0`. Raises ValueError with a sentence."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text[1:] if text[:1] == "+" else text)
    if rest == "0":
        return 0.0
    total, position = 0, 0
    while match := _GO_PART.match(rest, position):
        whole, fraction, unit = match[1], match[2] or "", match[3]
        if not whole and not fraction:
            break
        size = _GO_NANOSECONDS[unit]
        total += int(whole or "0") * size + int(fraction or "0") * size // 10 ** len(fraction)
        position = match.end()
    if not position or position != len(rest):
        raise ValueError("a duration like 1h30m, 90s or 1.5s is wanted")
    if total > _LONGEST:
        raise ValueError("a duration of at most 290 years is wanted")
    return sign * total / 10**9


_PROMETHEUS = re.compile("".join(rf"(?:([0-9]{{1,12}}){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")))
_PROMETHEUS_MS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1)


def parse_prometheus(text: str) -> float:
    """Seconds of Prometheus' model.ParseDuration: whole numbers, units once each from `y` down to `ms`: `8d`, `1h30m`.

    Raises ValueError with a sentence.
    """
    match = _PROMETHEUS.fullmatch(text)
    if not text or (match is None and text != "0"):
        raise ValueError("a duration like 8d or 1h30m is wanted")
    counts = match.groups() if match else ()
    total = sum(int(count) * size for count, size in zip(counts, _PROMETHEUS_MS, strict=False) if count)
    if total * 10**6 > _LONGEST:
        raise ValueError("a duration of at most 290 years is wanted")
    return total / 1000
