"""Neighbours as processes of the host, the images of those that run as pods, and our own overlays beside them."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import images
from tests.cluster.bed import Bed
from tests.cluster.binaries import find
from tests.cluster.processes import wait_until


@contextmanager
def running_process(command: Sequence[str | Path], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """Runs the command until the body ends, which begins when it is `ready`; else fails and shows its log."""
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=log.parent)
    try:
        assert wait_until(lambda: ready() or process.poll() is not None, 60, every=0.2), log.read_text()[-3000:]
        assert process.poll() is None, log.read_text()[-3000:]
        yield
    finally:
        process.terminate()
        process.wait(30)


def import_program(bed: Bed, name: str, image: str) -> None:
    """Gives the nodes `image`, which holds one static program and starts it; built where the cache has it not."""
    layer = images.Layer({f"/{name}": find([name])[name]})
    bed.import_image(images.archive(image, [layer], {"Entrypoint": [f"/{name}"], "User": "65534:65534"}))


@contextmanager
def kustomized(bed: Bed, folder: Path) -> Iterator[None]:
    """`kubectl apply -k`; `kubectl delete -k` afterwards."""
    bed.kubectl("apply", "-k", str(folder))
    try:
        yield
    finally:
        bed.kubectl("delete", "-k", str(folder), "--ignore-not-found", "--timeout=90s", seconds=120)
