"""Objects of Kubernetes in a file of YAML documents, for programs that run without a cluster."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.objects import Pod
from adapter.units.layers import first_below

MAX_FILE = 4 << 20
"""Bytes of such a file at most."""


MAX_DEPTH = 100
"""Levels of such a document at most."""


class DocumentError(ValueError):
    """A file with objects is no good; one sentence with its name and the document."""


def read_objects(file: Path) -> tuple[list[Pod], list[HorizontalPodAutoscaler]]:
    """The Pods and HorizontalPodAutoscalers of a file of YAML documents, as `kubectl get -o yaml` writes them.

    A pod needs `status.podIP` and the prometheus.io/ annotations to be scraped. Raises DocumentError.
    """
    pods: list[Pod] = []
    hpas: list[HorizontalPodAutoscaler] = []
    for number, document in enumerate(_documents(file), 1):
        kind = document.get("kind") if isinstance(document, dict) else None
        try:
            if kind == "Pod":
                pods.append(msgspec.convert(document, Pod))
            elif kind == "HorizontalPodAutoscaler":
                hpas.append(msgspec.convert(document, HorizontalPodAutoscaler))
            else:
                raise DocumentError(
                    f"{file}, document {number}: kind is {kind!r}; Pod or HorizontalPodAutoscaler is right"
                )
        except msgspec.ValidationError as error:
            raise DocumentError(f"{file}, document {number} ({kind}): {error}") from error
    return pods, hpas


def _documents(file: Path) -> Iterator[Any]:
    try:
        if file.stat().st_size > MAX_FILE:
            raise DocumentError(f"{file}: has more than {MAX_FILE} bytes")
        text = file.read_text()
        if line := first_below(text, MAX_DEPTH):
            raise DocumentError(f"{file}, line {line}: more than {MAX_DEPTH} levels deep; right would be fewer")
        for document in yaml.load_all(text, yaml.CSafeLoader):
            yield from (
                document["items"] if isinstance(document, dict) and document.get("kind") == "List" else [document]
            )
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DocumentError(f"{file}: cannot be read: {' '.join(str(error).split())}") from error
