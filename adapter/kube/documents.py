"""Objects of Kubernetes in a file of YAML documents, for programs that run without a cluster."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from adapter import files
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.objects import Pod
from adapter.units.manifest import MOST_BYTES, ManifestError, objects


class DocumentError(ValueError):
    """A file with objects is no good; one sentence with its name and the document."""


def read_objects(file: Path) -> tuple[list[Pod], list[HorizontalPodAutoscaler]]:
    """The Pods and HorizontalPodAutoscalers of a file of YAML documents, as `kubectl get -o yaml` writes them.

    A pod needs `status.podIP` and the prometheus.io/ annotations to be scraped. Raises DocumentError.
    """
    pods: list[Pod] = []
    hpas: list[HorizontalPodAutoscaler] = []
    for number, document in enumerate(_objects(file), 1):
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


def _objects(file: Path) -> Sequence[object]:
    try:
        return objects(files.read(file, MOST_BYTES, pipe_s=files.PIPE_S), str(file))
    except OSError as error:
        raise DocumentError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ManifestError as error:
        raise DocumentError(str(error)) from error
