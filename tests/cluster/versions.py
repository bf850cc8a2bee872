"""`python -m tests.cluster.versions 1.30.14 1.37.2`: does that Kubernetes take our manifests, and do we work on it?

Each version's programs are built once, into the cache. Its API server runs with etcd on loopback, without a node:
overlays, definitions and samples are applied strictly, and the chart is installed, upgraded, taken back and removed by
helm. Then the test bed is of that version, and the main tests of each program run on it.
"""

# ruff: noqa: T201 - this is a command-line program

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import yaml

from tests.cluster import releases
from tests.cluster.binaries import find
from tests.cluster.certs import service_account_keys
from tests.cluster.chart import CHART, helm
from tests.cluster.controlplane import Ports
from tests.cluster.images import CHECKOUT
from tests.cluster.kubectl import Kubectl
from tests.cluster.processes import CommandError, Folder, end_all, run

MAIN_TESTS = {
    "test_scaling.py": (
        "test_an_hpa_on_request_rates_scales_up_under_load_and_back_down_after_it",
        "test_cpu_and_memory_hpas_scale_on_what_kubelets_say",
    ),
    "test_recommender.py": (
        "test_a_vpa_gets_a_status_and_a_killed_recommender_resumes_without_a_dip",
        "test_a_pod_is_resized_in_place_without_a_restart",
    ),
    "neighbours/test_vpa.py": (
        "test_the_updater_evicts_by_our_status_and_the_admission_controller_sets_requests_from_it",
    ),
    "test_rollout.py": ("test_a_promotion_and_a_rollback_under_load_lose_no_request",),
}
"""By file below tests/cluster; the last is a blue-green release and a canary."""
MANIFESTS = CHECKOUT / "manifests"
TOKEN = "of-a-server-that-lives-for-a-minute"  # on loopback
NEEDS = {
    "cert-manager": None,
    "rollout-keep-paused.yaml": (1, 36),
    "rollout-author.yaml": (1, 30),
    "test_a_pod_is_resized_in_place_without_a_restart": (1, 33),
}
"""What stands on more than Kubernetes of any version: the first that has it, None where it is no part of Kubernetes."""


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
            cluster = Kubectl(programs["kubectl"], kubeconfig(place, f"https://127.0.0.1:{port.api_server}"))
            folder.wait_ready(running[1], lambda: succeeds(lambda: cluster.kubectl("get", "--raw", "/readyz")), 90)
            yield cluster
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
    minor = minor_of(version)
    yield "definitions", partial(cluster.kubectl, *strictly, "-k", str(MANIFESTS / "crds"))
    for path in [*sorted((MANIFESTS / "overlays").iterdir()), *sorted(MANIFESTS.glob("samples/*.yaml"))]:
        since = NEEDS.get(path.name, (1, 0))
        if since is not None and minor >= since:
            way = ("-k" if path.is_dir() else "-f", str(path))
            yield f"{path.parent.name}/{path.name}", partial(cluster.kubectl, *strictly, *way)
    yield "kubectl delete -k", partial(remove_all, cluster)
    yield "helm install, upgrade, rollback, uninstall", partial(by_helm, cluster)


def minor_of(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


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
    [server] = releases.find(version, ["kube-apiserver"]).values()
    with serving(server) as cluster:
        for name, check in checks(version, cluster):
            try:
                check()
                said[name] = "yes"
            except CommandError as error:
                said[name] = error.output.strip().splitlines()[-1]
    return said


def select_tests(version: str) -> list[str]:
    """pytest's names of the main tests that a version has what they need for."""
    minor = minor_of(version)
    candidates = [(file, test) for file, tests in MAIN_TESTS.items() for test in tests]
    return [f"tests/cluster/{file}::{test}" for file, test in candidates if minor >= (NEEDS.get(test) or (1, 0))]


def run_main_tests(version: str) -> dict[str, str]:
    """Test -> "yes", or how it ended; on a bed of that version."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        own = "addopts=-q --strict-markers --strict-config --import-mode=importlib"
        words = [sys.executable, "-m", "pytest", "-o", own, "-o", "junit_family=xunit1", "--timeout=600"]
        words += [f"--junitxml={report}", *select_tests(version)]
        environment = {**os.environ, "STREAMGATE_KUBERNETES": version, "STREAMGATE_CLUSTER_REQUIRED": "1"}
        subprocess.run(words, cwd=CHECKOUT, env=environment, check=False)
        return outcomes(report.read_text()) if report.exists() else {"the main tests": "did not run"}


def outcomes(report: str) -> dict[str, str]:
    """Test -> "yes", "failure", "error" or "skipped", out of a report in JUnit's XML."""
    by_test = {}
    for case in ElementTree.fromstring(report).iter("testcase"):
        bad = [part.tag for part in case if part.tag in ("failure", "error", "skipped")]
        by_test[case.get("name", "")] = bad[0] if bad else "yes"
    return by_test


def main(versions: list[str]) -> int:
    tables = {version: try_all(version) | run_main_tests(version) for version in versions}
    print("\n| | " + " | ".join(versions) + " |\n|---|" + "---|" * len(versions))
    for name in dict.fromkeys(name for table in tables.values() for name in table):
        print(f"| {name} | " + " | ".join(table.get(name, "not there") for table in tables.values()) + " |")
    return 0 if all(value == "yes" for table in tables.values() for value in table.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
