"""The adapter without Kubernetes: objects from a file, and credentials of its own for kubectl and curl."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from adapter.files import Identity, identity
from adapter.kube.documents import DocumentError, read_objects
from adapter.kube.index import Index
from adapter.program.run import Job, StartError
from adapter.serve.authority import ClientAuthority, write_credentials
from adapter.serve.certs import KeyPair
from adapter.serve.chains import Pool
from adapter.serve.trust import Anchors
from adapter.wiring.cluster import Cluster

log = structlog.get_logger("streamgate")

LOOK_EVERY = 1.0
"""s between two looks at the file."""


def cluster(file: Path) -> Cluster:
    """What a file of Pods and HorizontalPodAutoscalers holds, kept up to date. Raises StartError."""
    file_cluster = Cluster(
        client=None, pods=Index(), presences=None, pods_listed=None, nodes=Index(), hpas=Index(), jobs=()
    )
    seen = identity(file)
    try:
        _take(file, file_cluster)
    except DocumentError as error:
        raise StartError(str(error)) from error
    return replace(file_cluster, jobs=[Job("standalone file", partial(_follow, file, file_cluster, seen))])


def _take(file: Path, cluster: Cluster) -> None:
    """What the file holds now, and nothing else. Raises DocumentError, and then all is as it was."""
    pods, hpas = read_objects(file)
    for index, objects in ((cluster.pods, pods), (cluster.hpas, hpas)):
        held: Index[Any] = index
        for item in objects:
            held.put(item)
        held.retain((item.metadata.namespace, item.metadata.name) for item in objects)


async def _follow(file: Path, cluster: Cluster, seen: Identity) -> None:
    """Read the file anew when it changes, until cancelled; what cannot be used is logged and changes nothing."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        now = identity(file)
        if now in (seen, (None,)):  # while it is being replaced there may be none
            continue
        seen = now
        try:
            _take(file, cluster)
        except DocumentError as error:
            log.error("the standalone file is left as it was", cause=str(error))


class Credentials:
    """An authority for this run, and the one administrator whom it knows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = ClientAuthority()
        self.anchors = Anchors(Pool(self._authority.pem))

    def write(self, port: int, serving: KeyPair) -> None:
        """Put a kubeconfig for the server on `port` of loopback into the folder. Raises StartError."""
        try:
            kubeconfig = write_credentials(
                self._folder, f"https://127.0.0.1:{port}", serving.certificate, self._authority
            )
        except OSError as error:
            raise StartError(f"--cert-dir={self._folder}: no credentials can be written: {error.strerror}") from error
        log.info("standalone", kubeconfig=str(kubeconfig))
