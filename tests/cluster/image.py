"""`python -m tests.cluster.image`: the images of the Dockerfile, built by buildah without a daemon, and looked into.

Needs root and buildah. The base is made of the interpreter that runs us, its libraries and busybox, so no registry of
images is asked. Arguments go to `buildah bud` (`--volume FILE:/etc/pip.conf:ro`).
"""

# ruff: noqa: T201 - this is a command-line program

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.cluster import packages
from tests.cluster.bed import Bed
from tests.cluster.images import CHECKOUT, LEFT_OUT, shared_libraries

TARGETS = ("adapter", "recommender", "rollout")
ANY_LINUX = {
    f"lib{name}" for name in ("stdc++.so.6", "gcc_s.so.1", "pthread.so.0", "dl.so.2", "rt.so.1", "util.so.1", "m.so.6")
}
STARTUP = Path(__file__).with_name("startup.py")
BASE = "localhost/streamgate-python:local"
PIP_FILES = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""What pip needs to know of this machine; seen by the build alone, in no image."""
MOST_MB = 150
"""What an image may have compressed, as pushed, in millions of bytes; it has some 84 (docs/image.md).

A node that has none of it fetches all of that before its first pod starts."""
# Imports every module. Only what comes with the extra `reports` may be absent, and each such module is counted.
LOOK = """
import importlib, pkgutil
import adapter, recommender
names = [m.name for p in (adapter, recommender) for m in pkgutil.walk_packages(p.__path__, p.__name__ + ".")]
without = []
for name in [*names, "loadtest.sample", "prometheus_api_client"]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] not in {"matplotlib", "rich"}:
            raise
        without.append(name)
print(len(names) - len(without), "modules imported; need the extra reports:", *without)
"""


def base_files(root: Path) -> None:
    """The root file system of the base: of `python:slim` what our Dockerfile needs, at the same places."""
    library, version = Path(sysconfig.get_paths()["stdlib"]), f"python{sys.version_info.major}.{sys.version_info.minor}"
    interpreter = Path(os.path.realpath(sys.executable))
    left_out = (LEFT_OUT - {"ensurepip"}) | {path.name for path in library.glob("config-*")} | {"__pycache__"}
    target = root / "usr/local/lib" / version
    shutil.copytree(library, target, ignore=shutil.ignore_patterns(*left_out, "_tkinter.*"))
    (root / "usr/local/bin").mkdir(parents=True)
    shutil.copy2(interpreter, root / "usr/local/bin" / version)
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to(version)
    busybox = Path(shutil.which("busybox") or sys.exit("busybox is not installed; Debian's package is busybox"))
    (root / "bin").mkdir()
    shutil.copy2(busybox, root / "bin/busybox")
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    for name in [*shared_libraries([interpreter, busybox, *target.rglob("*.so")]), *libraries_of_wheels()]:
        system = name.startswith(("/lib/", "/lib64/", "/usr/lib/"))
        place = root / (name if system else f"/usr/lib/{Path(name).name}").lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(os.path.realpath(name), place)
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    for path in [
        root,
        *root.rglob("*"),
    ]:  # times are part of a layer: with the same ones, what was built over it is taken again
        os.utime(path, (0, 0), follow_symlinks=False)


def libraries_of_wheels() -> list[str]:
    """What wheels expect of every Linux: the C++ runtime, and the libraries that glibc was once made of."""
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in known.splitlines()[1:]]
    return [words[-1] for words in lines if words[0] in ANY_LINUX]


def buildah(*arguments: str) -> str:
    """What a command of buildah prints."""
    return subprocess.run(["buildah", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def build(flags: list[str]) -> None:
    """The base, then each target over it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        base_files(root)
        (Path(folder) / "Dockerfile").write_text("FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n")
        buildah("bud", "--quiet", "--layers", "--timestamp", "0", "--tag", BASE, folder)
    for target in TARGETS:
        common = ["--pull-never", "--layers", "--isolation", "chroot", "--network", "host"]
        common += [f"--volume={name}:{name}:ro" for name in PIP_FILES if Path(name).is_file()]
        common += ["--build-arg"]
        tag = f"localhost/streamgate/{target}:local"
        print(
            buildah(
                "bud", "--quiet", *common, f"PYTHON={BASE}", *flags, "--target", target, "--tag", tag, str(CHECKOUT)
            )
        )


@cache
def build_once() -> None:
    """Builds all images, once in a session, as that takes its time even where nothing is new."""
    build([])


def layer_sizes(manifest: Mapping[str, Any]) -> list[float]:
    """Of an OCI image's manifest: MB of each layer, compressed, the lowest first."""
    return [layer["size"] / 1e6 for layer in manifest["layers"]]


def too_large(target: str, sizes: Sequence[float]) -> str | None:
    """One sentence about an image whose layers (MB each, compressed) have more than MOST_MB together; else None."""
    whole = sum(sizes)
    if whole <= MOST_MB:
        return None
    number, largest = max(enumerate(sizes, start=1), key=lambda layer: layer[1])
    return (
        f"{target}: the image has {whole:.1f} MB compressed, and {MOST_MB} MB are the most; "
        f"its largest layer, {number} of {len(sizes)}, has {largest:.1f} MB: leave out what no program imports"
    )


def look(target: str) -> None:
    """Run what the image starts, and import all of its modules; say how large it is as it would be pushed.

    Ends the program with a sentence where it is larger than MOST_MB.
    """
    container = buildah("from", "--pull-never", f"localhost/streamgate/{target}:local")
    try:
        for program in TARGETS:
            buildah("run", "--isolation", "chroot", container, "--", f"streamgate-{program}", "--help")
        print(target, buildah("run", "--isolation", "chroot", container, "--", "python", "-c", LOOK))
        if target == "adapter":
            print(buildah("run", "--isolation", "chroot", container, "--", "python", "-c", STARTUP.read_text()))
    finally:
        buildah("rm", container)
    with tempfile.TemporaryDirectory() as folder:
        buildah("push", "--quiet", f"localhost/streamgate/{target}:local", f"oci:{folder}/image")
        blobs = Path(folder) / "image/blobs/sha256"
        index = json.loads((Path(folder) / "image/index.json").read_text())
        manifest = json.loads((blobs / index["manifests"][0]["digest"].partition(":")[2]).read_text())
        sizes = layer_sizes(manifest)
        print(target, f"{sum(sizes):.1f} MB compressed; layers", *(f"{size:.1f}" for size in sizes))
    if said := too_large(target, sizes):
        sys.exit(said)


def archive(target: str, file: Path, name: str) -> None:
    """The image as a file that a node can import under `name`."""
    buildah("push", "--quiet", f"localhost/streamgate/{target}:local", f"docker-archive:{file}:{name}")


def install(bed: Bed, folder: Path, targets: Sequence[str] = TARGETS) -> None:
    """Puts all images, or some, on the nodes of a bed, under the names that the manifests ask for."""
    packages.ensure(["buildah"])
    build_once()
    for target in targets:
        file = folder / f"{target}.tar"
        archive(target, file, f"docker.io/streamgate/{target}:0.1.0")
        bed.import_image(file)
        file.unlink()


def main() -> int:
    packages.ensure(["buildah"])
    build(sys.argv[1:])
    for target in TARGETS:
        look(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
