"""What a Deployment's pods are started with: flags, and what is mounted where a flag points to. Pure."""

from pathlib import PurePosixPath
from typing import Final

from adapter.doctor.objects import Deployment, Volume

TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
"""strconv.ParseBool."""


def flag(deployment: Deployment, name: str) -> str | None:
    """The value of the last `--name` among the containers' arguments: 'true' where it stands bare, None for none.

    Hyphens and underscores are one, as in Kubernetes' components.
    """
    last_value = None
    for container in deployment.spec.template.spec.containers:
        given = [*container.command, *container.args]
        for at, argument in enumerate(given):
            written, is_joined, value = argument.partition("=")
            if not written.startswith("-") or written.lstrip("-").replace("_", "-") != name:
                continue
            following = given[at + 1] if at + 1 < len(given) else "-"
            last_value = value if is_joined else "true" if following.startswith("-") else following
    return last_value


def is_set(deployment: Deployment, name: str) -> bool:
    """Whether a flag that is a switch is on."""
    return flag(deployment, name) in TRUE


def find_volume(deployment: Deployment, path: str) -> tuple[Volume, str] | None:
    """The volume that a file comes from, and the file's key in it; None where it comes from none."""
    spec, file = deployment.spec.template.spec, PurePosixPath(path)
    for container in spec.containers:
        for mount in container.volume_mounts:
            if PurePosixPath(mount.mount_path) == file.parent:
                for volume in spec.volumes:
                    if volume.name == mount.name:
                        return volume, file.name
    return None
