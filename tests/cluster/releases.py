"""Kubernetes' programs in another version than the pinned one: built once, each version into a folder of the cache."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.binaries import BuildError, MissingError, Say, cache, run_build
from tests.cluster.catalogue import PROGRAMS
from tests.cluster.processes import CommandError, run

KUBERNETES = "k8s.io/kubernetes"
OF_A_VERSION = tuple(name for name, program in PROGRAMS.items() if program.module == "kubernetes" and name != "kubectl")
"""What is of the version; kubectl stays the pinned one, which speaks with all of them."""


def module_text(version: str, upstream: str, names: Iterable[str]) -> str:
    """The go.mod that builds a version; `upstream` is Kubernetes' own, whose local modules are those of its release.

    Kubernetes 1.30.14 is released together with k8s.io/api 0.30.14 and its like.
    """
    staged = re.findall(r"(\S+) => \./staging/", upstream)
    replaced = "\n".join(f"\t{name} => {name} v0.{version.removeprefix('1.')}" for name in staged)
    tools = "\n".join(f"\t{PROGRAMS[name].package}" for name in names)
    head = ["module streamgate.dev/tests/cluster/versions", "go 1.26.0", f"require {KUBERNETES} v{version}"]
    return "\n\n".join([*head, f"tool (\n{tools}\n)", f"replace (\n{replaced}\n)"]) + "\n"


def find(version: str, names: Iterable[str] = OF_A_VERSION, say: Say = print) -> dict[str, Path]:
    """Their paths, built where the cache has them not: five minutes for the API server, twice that for all.

    Raises MissingError.
    """
    folder = cache() / f"kubernetes-v{version}"
    paths = {name: folder / name for name in names}
    missing = [name for name, path in paths.items() if not path.exists()]
    try:
        if not re.fullmatch(r"1\.\d+\.\d+", version):
            raise BuildError(f"{version} is no version of Kubernetes; 1.30.14 is one")
        if missing:
            _build(version, missing, folder, say)
    except BuildError as error:
        raise MissingError({name: [str(error)] for name in missing}) from error
    return paths


def _build(version: str, names: list[str], target: Path, say: Say) -> None:
    if shutil.which("go") is None:
        raise BuildError(f"no Go toolchain on PATH to build Kubernetes {version} with")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            said = run(["go", "mod", "download", "-json", f"{KUBERNETES}@v{version}"], seconds=600)
            (folder / "go.mod").write_text(module_text(version, Path(json.loads(said)["GoMod"]).read_text(), names))
            run(["go", "-C", place, "mod", "tidy"], seconds=900)
        except CommandError as error:
            raise BuildError(f"Kubernetes {version} cannot be fetched: {error}") from error
        facts = zip(("gitVersion", "gitMajor", "gitMinor"), (f"v{version}", *version.split(".")), strict=False)
        stamps = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in facts)
        argv = ["go", "install", "-v", "-trimpath", "-ldflags", f"-s -w {stamps}"]
        argv += [PROGRAMS[name].package for name in names]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": place}
        run_build(argv, folder, environment, f"{', '.join(names)} {version}", say)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            partial = target / f".{name}.{os.getpid()}"
            shutil.copy2(folder / name, partial)
            partial.rename(target / name)
