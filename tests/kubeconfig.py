"""The kubeconfig of a person or a program, for tests against a fake API server."""

from pathlib import Path

import yaml


def kubeconfig(folder: Path, server: str) -> Path:
    """A file in `folder` with one context: `server`, asked with a token."""
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    written = {
        "current-context": "c",
        "contexts": [context],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(written))
    return file
