"""What a label may be called (OpenTelemetry's 'Prometheus and OpenMetrics Compatibility')."""

import re

_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def label_name(name: str) -> str:
    """The label's name of an attribute, or of a pod's label: what a label cannot have becomes '_'."""
    clean = _NOT_LABEL.sub("_", name)
    return f"key_{clean}" if clean[:1].isdigit() else clean
