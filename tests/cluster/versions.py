"""`python -m tests.cluster.versions 1.30.14 1.37.2`: does the API server of that Kubernetes take all that we install?

Each version's kube-apiserver is built once, into the cache, and runs with etcd on loopback, without a node: overlays,
definitions and samples are applied strictly, and the chart is installed, upgraded, taken back and removed by helm. What
pods do is for the test bed, which is of one version.
"""

# ruff: noqa: T201 - this is a command-line program

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import yaml

from tests.cluster.binaries import cache, find, watched
from tests.cluster.certs import service_account_keys
from tests.cluster.chart import CHART, helm
from tests.cluster.controlplane import Ports
from tests.cluster.images import CHECKOUT
from tests.cluster.kubectl import Kubectl
from tests.cluster.processes import CommandError, Folder, end_all, run

MANIFESTS = CHECKOUT / "manifests"
PACKAGE = "k8s.io/kubernetes/cmd/kube-apiserver"
TOKEN = "of-a-server-that-lives-for-a-minute"  # on loopback
NEEDS = {"cert-manager": None, "rollout-keep-paused.yaml": (1, 36), "rollout-author.yaml": (1, 30)}
"""What stands on more than Kubernetes of any version: the first that has it, None where it is no part of Kubernetes."""


def module_text(version: str, upstream: str) -> str:
    """The go.mod that builds a version; `upstream` is Kubernetes' own, whose local modules are those of its release.

    Kubernetes 1.30.14 is released together with k8s.io/api 0.30.14 and its like.
    """
    staged = re.findall(r"(\S+) => \./staging/", upstream)
    lines = [f"\t{name} => {name} v0.{version.removeprefix('1.')}" for name in staged]
    head = ["module streamgate.dev/tests/cluster/versions", "go 1.26.0", f"require k8s.io/kubernetes v{version}"]
    return "\n\n".join([*head, f"tool {PACKAGE}", "replace (\n" + "\n".join(lines) + "\n)"]) + "\n"


def apiserver(version: str) -> Path:
    """Its kube-apiserver; built where the cache has none, in some five minutes."""
    program = cache() / f"kubernetes-v{version}" / "kube-apiserver"
    if program.exists():
        return program
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        said = run(["go", "mod", "download", "-json", f"k8s.io/kubernetes@v{version}"], seconds=600)
        (folder / "go.mod").write_text(module_text(version, Path(json.loads(said)["GoMod"]).read_text()))
        subprocess.run(["go", "mod", "tidy"], cwd=folder, check=True, timeout=900)
        facts = zip(("gitVersion", "gitMajor", "gitMinor"), (f"v{version}", *version.split(".")), strict=False)
        stamps = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in facts)
        argv = ["go", "install", "-v", "-trimpath", "-ldflags", f"-s -w {stamps}", PACKAGE]
        watched(argv, folder, {**os.environ, "CGO_ENABLED": "0", "GOBIN": name}, f"kube-apiserver {version}", print)
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / "kube-apiserver", program)
    return program


@contextmanager
def serving(program: Path) -> Iterator[Kubectl]:
    """An API server alone, with an administrator's kubeconfig."""
    programs, port = {**find(["etcd", "kubectl"]), "kube-apiserver": program}, Ports.free()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
        keys, store = service_account_keys(place), f"http://127.0.0.1:{port.etcd}"
        peers = f"http://127.0.0.1:{port.etcd_peer}"
        etcd = ["--unsafe-no-fsync", f"--data-dir={name}/etcd", f"--listen-peer-urls={peers}"]
        etcd += [f"--listen-client-urls={store}", f"--advertise-client-urls={store}"]
        server = [f"--etcd-servers={store}", "--bind-address=127.0.0.1", f"--secure-port={port.api_server}"]
        server += [f"--cert-dir={name}/certs", f"--token-auth-file={name}/tokens.csv", "--authorization-mode=RBAC"]
        server += [f"--service-account-signing-key-file={keys.key}", f"--service-account-key-file={keys.cert}"]
        server += ["--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.99.0.0/24"]
        server += ["--disable-admission-plugins=ServiceAccount"]  # nobody makes the accounts that Deployments name
        folder = Folder(place)
        running = [folder.start("etcd", [programs["etcd"], *etcd])]
        try:
            running.append(folder.start("kube-apiserver", [programs["kube-apiserver"], *server]))
            found = Kubectl(programs["kubectl"], kubeconfig(place, f"https://127.0.0.1:{port.api_server}"))
            folder.wait_ready(running[1], lambda: succeeds(lambda: found.kubectl("get", "--raw", "/readyz")), 90)
            yield found
        finally:
            end_all(reversed(running))


def kubeconfig(place: Path, url: str) -> Path:
    entry = {"name": "it", "cluster": {"server": url, "insecure-skip-tls-verify": True}}
    made = {
        "apiVersion": "v1", "kind": "Config", "current-context": "it", "clusters": [entry],
        "users": [{"name": "it", "user": {"token": TOKEN}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }  # fmt: skip
    (place / "kubeconfig").write_text(json.dumps(made))
    return place / "kubeconfig"


def succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except CommandError:
        return False
    return True


def checks(version: str, cluster: Kubectl) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is tried, in this order, by what it is called in the table."""
    strictly = ("apply", "--server-side", "--force-conflicts", "--validate=strict")
    minor = (1, int(version.split(".")[1]))
    yield "definitions", partial(cluster.kubectl, *strictly, "-k", str(MANIFESTS / "crds"))
    for path in [*sorted((MANIFESTS / "overlays").iterdir()), *sorted(MANIFESTS.glob("samples/*.yaml"))]:
        since = NEEDS.get(path.name, (1, 0))
        if since is not None and minor >= since:
            way = ("-k" if path.is_dir() else "-f", str(path))
            yield f"{path.parent.name}/{path.name}", partial(cluster.kubectl, *strictly, *way)
    yield "kubectl delete -k", partial(remove_all, cluster)
    yield "helm install, upgrade, rollback, uninstall", partial(by_helm, cluster)


def remove_all(cluster: Kubectl) -> None:
    for overlay in (MANIFESTS / "overlays").iterdir():
        if overlay.name not in NEEDS:
            cluster.kubectl("delete", "-k", str(overlay), "--ignore-not-found", "--wait=false")


def by_helm(cluster: Kubectl) -> None:
    sections = yaml.safe_load((MANIFESTS / "overlays/complete/rules.yaml").read_text())
    rules = {"external": sections["externalRules"], "resource": sections["resourceRules"]}
    place = ["--kubeconfig", str(cluster.kubeconfig), "-n", "by-helm"]
    cluster.kubectl("create", "namespace", "by-helm")
    on = ["recommender", "rollout", "networkPolicy", "dropIn", "recommender.dropIn"]
    rights = [f"rollout.{name}=true" for name in ("gateway", "nginx", "notifications", "triggers")]
    every = ",".join([*(f"{name}.enabled=true" for name in on), *rights, "recommender.apply=in-place"])
    for words in (
        ["install", "gate", str(CHART), "--set", every],
        ["upgrade", "gate", str(CHART), "--reset-then-reuse-values", "--set-json", f"rules={json.dumps(rules)}"],
        ["rollback", "gate", "1"],
        ["uninstall", "gate"],
    ):
        run([helm(), *words, *place])


def try_all(version: str) -> dict[str, str]:
    """Check -> "yes", or what the server said."""
    said = {}
    with serving(apiserver(version)) as cluster:
        for name, check in checks(version, cluster):
            try:
                check()
                said[name] = "yes"
            except CommandError as error:
                said[name] = error.output.strip().splitlines()[-1]
    return said


def main(versions: list[str]) -> int:
    tables = {version: try_all(version) for version in versions}
    print("\n| | " + " | ".join(versions) + " |\n|---|" + "---|" * len(versions))
    for name in dict.fromkeys(name for table in tables.values() for name in table):
        print(f"| {name} | " + " | ".join(table.get(name, "not there") for table in tables.values()) + " |")
    return 0 if all(value == "yes" for table in tables.values() for value in table.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
