"""Where the test bed's programs come from. The first source that has one wins:

1. the folder named by STREAMGATE_KUBE_BIN or KUBEBUILDER_ASSETS, taken as it is;
2. PATH, when the version there is one that we support (Kubernetes' programs only all together, of one minor version);
3. our cache outside the checkout: STREAMGATE_CACHE, XDG_CACHE_HOME/streamgate or ~/.cache/streamgate, keyed by version;
4. the official release download, checksum verified (Kubernetes' programs; STREAMGATE_DOWNLOADS=off leaves it out);
5. a build with the Go toolchain from tools/*/go.mod, into the cache.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.catalogue import PROGRAMS, VERSION_OF, Program

TOOLS = Path(__file__).resolve().parent / "tools"
RELEASES = "https://dl.k8s.io"
DOWNLOAD_SECONDS = 300.0  # for one program of some 100 MB
BUILD_SECONDS = 3600.0
Say = Callable[[str], None]


class MissingError(RuntimeError):
    """Programs that no source has: `.reasons` says per program what each source answered."""

    def __init__(self, reasons: dict[str, list[str]]) -> None:
        alike: dict[str, list[str]] = {}
        for name, why in reasons.items():
            alike.setdefault("; ".join(why), []).append(name)
        lines = [f"  {', '.join(names)}: {why}" for why, names in alike.items()]
        super().__init__("the test bed lacks programs:\n" + "\n".join(lines))
        self.reasons = reasons


@dataclass(frozen=True)
class Answer:
    """What one source has: paths by name, and for the others a reason."""

    found: dict[str, Path]
    reason: str


def find(names: Iterable[str], say: Say = print) -> dict[str, Path]:
    """The path of each program; may download or build, saying so. Raises MissingError with all reasons."""
    wanted = [PROGRAMS[name] for name in names]
    paths: dict[str, Path] = {}
    reasons: dict[str, list[str]] = {program.name: [] for program in wanted}
    for source in (from_environment, from_path, from_cache, from_download, from_build):
        left = [program for program in wanted if program.name not in paths]
        if not left:
            break
        answer = source(left, say)
        paths.update(answer.found)
        for program in left:
            if program.name not in paths:
                reasons[program.name].append(answer.reason)
    missing = {name: why for name, why in reasons.items() if name not in paths}
    if missing:
        raise MissingError(missing)
    return paths


def from_environment(wanted: Sequence[Program], say: Say) -> Answer:
    folder = os.environ.get("STREAMGATE_KUBE_BIN") or os.environ.get("KUBEBUILDER_ASSETS")
    if not folder:
        return Answer({}, "neither STREAMGATE_KUBE_BIN nor KUBEBUILDER_ASSETS is set")
    return Answer(_executables(Path(folder), wanted), f"not in {folder} (STREAMGATE_KUBE_BIN or KUBEBUILDER_ASSETS)")


def from_path(wanted: Sequence[Program], say: Say) -> Answer:
    paths: dict[str, Path] = {}
    minors: dict[str, tuple[int, int]] = {}
    for program in wanted:
        path = shutil.which(program.name)
        minor = version(Path(path), program) if path else None
        if path and minor and program.oldest <= minor <= program.newest:
            paths[program.name], minors[program.name] = Path(path), minor
    suite = [program.name for program in wanted if program.module == "kubernetes"]
    if not set(suite) <= set(paths) or len({minors[name] for name in suite}) > 1:
        paths = {name: path for name, path in paths.items() if name not in suite}
    return Answer(paths, "not on PATH (Kubernetes' programs count only all together, in one version from 1.30 to 1.37)")


def from_cache(wanted: Sequence[Program], say: Say) -> Answer:
    paths: dict[str, Path] = {}
    for program in wanted:
        paths.update(_executables(cache_folder(program.module), [program]))
    return Answer(paths, f"not in the cache {cache()}")


def from_download(wanted: Sequence[Program], say: Say) -> Answer:
    suite = [program for program in wanted if program.module == "kubernetes"]
    if not suite or os.environ.get("STREAMGATE_DOWNLOADS") == "off":
        return Answer({}, "no release download")
    paths: dict[str, Path] = {}
    try:
        for program in suite:
            paths[program.name] = download(program.name, cache_folder("kubernetes"), say)
    except OSError as error:  # URLError and timeouts are OSErrors: no way out, or no such file
        return Answer(paths, f"the download from {RELEASES} failed ({error})")
    return Answer(paths, "no release download")


def from_build(wanted: Sequence[Program], say: Say) -> Answer:
    go = shutil.which("go")
    if go is None:
        return Answer({}, "no Go toolchain on PATH to build it with")
    paths: dict[str, Path] = {}
    try:
        for module in sorted({program.module for program in wanted}):
            programs = [program for program in wanted if program.module == module]
            paths.update(build(go, module, programs, say))
    except BuildError as error:
        return Answer(paths, str(error))
    return Answer(paths, "the build made no such program")


class BuildError(RuntimeError):
    """`go install` failed; the message ends with its last lines."""


def version(path: Path, program: Program) -> tuple[int, int] | None:
    """(major, minor) as the program states it; None when it does not run or says something else."""
    try:
        done = subprocess.run(
            [path, *program.version_arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv?(\d+)\.(\d+)\.\d+", done.stdout)
    return (int(match[1]), int(match[2])) if match else None


def cache() -> Path:
    """Our cache folder, outside the checkout."""
    own, shared = os.environ.get("STREAMGATE_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own).absolute()
    return (Path(shared) if shared else Path.home() / ".cache") / "streamgate"


def pinned_version(module: str) -> str:
    """The version that tools/MODULE/go.mod pins, such as v1.37.2."""
    text = (TOOLS / module / "go.mod").read_text()
    match = re.search(rf"^\s*(?:require )?{re.escape(VERSION_OF[module])} (v\S+)", text, re.MULTILINE)
    if match is None:
        raise BuildError(f"tools/{module}/go.mod has no line for {VERSION_OF[module]}")
    return match[1]


def cache_folder(module: str) -> Path:
    return cache() / f"{module}-{pinned_version(module)}"


def download(name: str, folder: Path, say: Say, base: str | None = None) -> Path:
    """One program of the Kubernetes release, checked against the release's SHA-256. OSError when that fails."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    url = f"{base or RELEASES}/{pinned_version('kubernetes')}/bin/linux/{machine}/{name}"
    with urllib.request.urlopen(f"{url}.sha256", timeout=5) as answer:  # short: this is where no network shows
        wanted = answer.read(200).decode().split()[0]
    say(f"downloading {url}")
    folder.mkdir(parents=True, exist_ok=True)
    partial, digest, deadline = folder / f".{name}.{os.getpid()}", hashlib.sha256(), time.monotonic() + DOWNLOAD_SECONDS
    try:
        with urllib.request.urlopen(url, timeout=20) as answer, partial.open("wb") as file:
            while block := answer.read(1 << 20):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{url} took more than {DOWNLOAD_SECONDS:.0f} s")
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != wanted:
            raise OSError(f"{url} has SHA-256 {digest.hexdigest()}, the release says {wanted}")
        partial.chmod(0o755)
        return partial.rename(folder / name)
    finally:
        partial.unlink(missing_ok=True)


def build(go: str, module: str, programs: Sequence[Program], say: Say) -> dict[str, Path]:
    """Builds programs of one module into the cache; twenty minutes and 3 GB of Go cache for Kubernetes on two cores."""
    folder = cache_folder(module)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock", say):
        present = _executables(folder, programs)  # another process may have built it while we waited
        left = [program for program in programs if program.name not in present]
        if left:
            _go_install(go, module, left, folder, say)
    return _executables(folder, programs)


def _go_install(go: str, module: str, programs: Sequence[Program], folder: Path, say: Say) -> None:
    names = ", ".join(program.name for program in programs)
    say(f"building {names} {pinned_version(module)} with {go}; the result is kept in {folder}")
    work = folder / f".build-{os.getpid()}"
    argv = [go, "install", "-v", "-trimpath", "-ldflags", _link_flags(module)]
    environment = {"GOTOOLCHAIN": "auto", **os.environ}  # some installations fetch no newer Go by themselves
    environment |= {"CGO_ENABLED": "0", "GOBIN": str(work), "GOFLAGS": "-mod=readonly"}
    try:
        run_build([*argv, *(program.package for program in programs)], TOOLS / module, environment, names, say)
        for program in programs:
            (work / _program_name(program.package)).rename(folder / program.name)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _link_flags(module: str) -> str:
    """Stripped; and Kubernetes' programs and helm only know their version when the linker tells them.

    helm without a cluster believes in the Kubernetes that its linker named; else in 1.20.
    """
    if module not in ("kubernetes", "helm"):
        return "-s -w"
    git = pinned_version("kubernetes")
    major, minor, _ = git.removeprefix("v").split(".", 2)
    if module == "helm":
        facts = {
            "internal/version.version": pinned_version(module),
            **{f"pkg/{room}.k8sVersionMajor": major for room in ("chartutil", "lint/rules")},
            **{f"pkg/{room}.k8sVersionMinor": minor for room in ("chartutil", "lint/rules")},
        }
        return " ".join(["-s -w", *(f"-X helm.sh/helm/v3/{key}={value}" for key, value in facts.items())])
    facts = {
        "gitVersion": git, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean", "gitCommit": "unknown",
        "buildDate": "1970-01-01T00:00:00Z",
    }  # fmt: skip
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in facts.items())])


def _program_name(package: str) -> str:
    """`go install` names a program after its path's last word that is no version."""
    words = package.split("/")
    return words[-2] if re.fullmatch(r"v\d+", words[-1]) else words[-1]


def run_build(argv: Sequence[str], folder: Path, environment: dict[str, str], names: str, say: Say) -> None:
    """Runs the build, says every half minute how far it is, and raises BuildError with its last lines."""
    lines: list[str] = []
    child = subprocess.Popen(
        argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        reader = threading.Thread(target=lines.extend, args=(child.stdout,), daemon=True)
        reader.start()
        began = time.monotonic()
        try:
            while reader.is_alive():
                reader.join(30.0)
                seconds = time.monotonic() - began
                say(f"  {names}: {len(lines)} packages compiled, {seconds:.0f} s")
                if seconds > BUILD_SECONDS:
                    raise BuildError(f"the build of {names} took more than {BUILD_SECONDS:.0f} s")
        except BaseException:
            child.kill()
            raise
    if child.returncode != 0:
        raise BuildError(f"the build of {names} failed: {' | '.join(line.strip() for line in lines[-5:])}")


def _executables(folder: Path, programs: Iterable[Program]) -> dict[str, Path]:
    paths = {program.name: folder / program.name for program in programs}
    return {name: path for name, path in paths.items() if path.is_file() and os.access(path, os.X_OK)}


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process builds into {path.parent}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
