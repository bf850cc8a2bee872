"""Files of peers that come with the Go modules that the bed's tools are built from: definitions, manifests."""

import json
import shutil
from pathlib import Path

from tests.cluster.binaries import TOOLS
from tests.cluster.processes import run


def sources(tool: str, module: str) -> Path:
    """The folder of `module`, in the version that tools/`tool` pins; fetched where it is not there yet.

    The go command may take a newer toolchain than its own for it, where the module asks for one.
    """
    go = shutil.which("go")
    if go is None:
        raise RuntimeError(f"no Go toolchain on PATH to fetch {module} with")
    words = ["env", "GOTOOLCHAIN=auto", go, "-C", str(TOOLS / tool), "mod", "download", "-json", module]
    return Path(json.loads(run(words, seconds=300))["Dir"])
