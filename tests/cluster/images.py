"""Container images made from what this machine already has: no registry, no Dockerfile, no root file system.

A docker archive is a tar of tars. A Python image holds the interpreter that runs us, its standard library and the
shared libraries that `ldd` names, all at the paths where they stand here, and the program below /app.
"""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.binaries import cache

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLE, PAUSE = "streamgate-sample:test", "streamgate-pause:test"
# Parts of the standard library that no server needs.
LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "distutils", "pydoc_data"}
LEFT_OUT |= {"site-packages", "dist-packages"}  # what others installed


@dataclass
class Layer:
    """Files of an image: path there -> file here, or -> text that says where a symbolic link leads."""

    files: dict[str, Path] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def add_tree(self, source: Path, target: str, left_out: Iterable[str] = ()) -> None:
        """A folder with all below it; byte code only of the interpreter that runs us."""
        skip, tag = set(left_out), f".{sys.implementation.cache_tag}.pyc"
        for folder, folders, names in os.walk(source):
            folders[:] = sorted(name for name in folders if name not in skip)
            for name in sorted(names):
                path = Path(folder) / name
                if path.is_file() and (not name.endswith(".pyc") or name.endswith(tag)):
                    self.files[f"{target}/{path.relative_to(source)}"] = path

    def key(self) -> str:
        """Changes whenever a file does."""
        facts = [
            (path, str(source), (status := source.stat()).st_size, status.st_mtime_ns)
            for path, source in self.files.items()
        ]
        return hashlib.sha256(json.dumps([sorted(facts), sorted(self.links.items())]).encode()).hexdigest()

    def tar(self) -> bytes:
        """The layer; owned by root, folders before what is in them."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name in _folders([*self.files, *self.links]):
                entry = tarfile.TarInfo(name.lstrip("/"))
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "/tmp" else 0o755
                tar.addfile(entry)
            for name, target in self.links.items():
                entry = tarfile.TarInfo(name.lstrip("/"))
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                tar.addfile(entry)
            for name, source in self.files.items():
                entry = tarfile.TarInfo(name.lstrip("/"))
                status = source.stat()
                entry.size, entry.mtime, entry.mode = (
                    status.st_size,
                    int(status.st_mtime),
                    status.st_mode & 0o755 | 0o444,
                )
                with source.open("rb") as file:
                    tar.addfile(entry, file)
        return buffer.getvalue()


def _folders(names: Iterable[str]) -> list[str]:
    parents = {str(parent) for name in names for parent in Path(name).parents}
    return sorted((parents | {"/tmp"}) - {"/"})


def archive(tag: str, layers: Sequence[Layer], config: Mapping[str, object]) -> Path:
    """The docker archive of an image, made anew only when a file of it changed."""
    facts = json.dumps([tag, [layer.key() for layer in layers], config], sort_keys=True)
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    name = tag.replace(":", "-").replace("/", "-")
    path = cache() / "images" / f"{name}-{key}.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f"{name}-*.tar"):
            old.unlink()
        partial = path.with_suffix(f".{os.getpid()}")
        _write(partial, tag, [layer.tar() for layer in layers], config)
        partial.rename(path)
    return path


def _write(path: Path, tag: str, layers: Sequence[bytes], config: Mapping[str, object]) -> None:
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    image = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
    }
    names = [f"{digest}/layer.tar" for digest in digests]
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": names}]
    parts = {"config.json": json.dumps(image).encode(), **dict(zip(names, layers, strict=True))}
    parts["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def pause(busybox: Path) -> Path:
    """The image of every pod's first container, which only sleeps."""
    layer = Layer({"/bin/busybox": busybox}, {"/bin/sleep": "busybox"})
    return archive(PAUSE, [layer], {"Entrypoint": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"]})


def sample(busybox: Path | None) -> Path:
    """The sample service."""
    folder = CHECKOUT / "loadtest" / "sample"
    return python_program(SAMPLE, {"loadtest/sample": folder}, "loadtest.sample", busybox)


def python_program(
    tag: str, folders: Mapping[str, Path], module: str, busybox: Path | None = None, libraries: Path | None = None
) -> Path:
    """An image that runs `python -m MODULE`: `folders` stand below /app, `libraries` is a site-packages to take along.

    With `busybox` there is also a /bin/sh, for `kubectl exec`.
    """
    program = Layer()
    for name, folder in folders.items():
        program.add_tree(folder, f"/app/{name}", {"__pycache__"})
    interpreter = Path(os.path.realpath(sys.executable))
    config = {
        "Entrypoint": [str(interpreter), "-m", module],
        "WorkingDir": "/app",
        "User": "65534:65534",
        "Env": [
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "PYTHONUNBUFFERED=1",
            "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONPATH=/app",
        ],
    }
    layers = [python(interpreter, busybox), program]
    if libraries is not None:
        layers.insert(1, Layer())
        layers[1].add_tree(libraries, "/app/site-packages", {"pip", "tests"})
        config["Env"] = [*config["Env"][:-1], "PYTHONPATH=/app:/app/site-packages"]
    return archive(tag, layers, config)


def python(interpreter: Path, busybox: Path | None) -> Layer:
    """The interpreter that runs us, with its library."""
    library = Path(sysconfig.get_paths()["stdlib"])
    layer = Layer({str(interpreter): interpreter}, {"/usr/local/bin/python3": str(interpreter)})
    layer.add_tree(library, str(library), {*LEFT_OUT, *(path.name for path in library.glob("config-*"))})
    for name in [name for name in layer.files if "/_tkinter." in name]:  # it drags in all of X11
        del layer.files[name]
    extensions = [path for name, path in layer.files.items() if name.endswith(".so")]
    for name in shared_libraries([interpreter, *extensions]):
        layer.files[name] = Path(os.path.realpath(name))
    if busybox is not None:
        layer.files["/bin/busybox"] = busybox
        layer.links["/bin/sh"] = "busybox"
    return layer


def shared_libraries(programs: Sequence[Path]) -> list[str]:
    """The paths at which the loader looks for what the programs need, itself included."""
    done = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False)
    return sorted(set(re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", done.stdout, re.MULTILINE)))
