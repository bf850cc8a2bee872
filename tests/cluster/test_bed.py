"""The bed itself: a real cluster comes up, does what the other tests build on, and leaves nothing behind."""

import http.server
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.bed import Bed, BedError, Options
from tests.cluster.footprint import difference, footprint
from tests.cluster.manifests import sample_deployment
from tests.cluster.processes import Folder, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read(), "utf-8")


def command(verb: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.cluster", verb, "--folder", str(folder)]


def test_a_deployment_of_the_sample_answers_at_its_service_and_at_its_pods(bed: Bed, namespace: str) -> None:
    bed.apply(sample_deployment("web", namespace, 2))
    bed.rollout("web", namespace)
    address = bed.get("service/web", "-n", namespace)["spec"]["clusterIP"]
    pods = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in bed.get("pods", "-n", namespace)["items"]}
    answers: list[str] = []

    def both_answered() -> bool:
        answers.append(fetch(f"http://{address}/").strip())
        return set(answers) == set(pods)

    assert wait_until(both_answered, 10)  # kube-proxy picks at random, once it has heard of both
    counted = {name: requests_of(ip) for name, ip in pods.items()}
    assert counted == {name: answers.count(name) for name in pods}


def requests_of(ip: str) -> int:
    counts = re.findall(r"^http_requests_total\{.*\} (\d+)$", fetch(f"http://{ip}:8080/metrics"), re.MULTILINE)
    return sum(map(int, counts))


def test_pods_are_ready_seconds_after_they_are_asked_for(bed: Bed, namespace: str) -> None:
    bed.apply(sample_deployment("web", namespace))
    began = time.monotonic()
    bed.rollout("web", namespace)
    assert time.monotonic() - began < 15


def test_a_pod_reaches_its_service_the_api_server_and_a_process_of_the_host(
    bed: Bed, namespace: str, host_server: int
) -> None:
    bed.expose_host_service(namespace, "host", host_server, service_port=80)
    bed.apply(sample_deployment("web", namespace))
    bed.rollout("web", namespace)
    for target in ("web", "host"):
        address = bed.get(f"service/{target}", "-n", namespace)["spec"]["clusterIP"]
        got = bed.kubectl(
            "exec", "-n", namespace, "deploy/web", "--", "/bin/busybox", "wget", "-qO-", f"http://{address}/"
        )
        assert got.startswith("web-" if target == "web" else "from the host")
    probe = "import ssl, urllib.request as r; c = ssl._create_unverified_context()"
    probe += "; print(r.urlopen('https://10.96.0.1/version', context=c).status)"
    assert bed.kubectl("exec", "-n", namespace, "deploy/web", "--", "/usr/local/bin/python3", "-c", probe) == "200\n"


@pytest.fixture
def host_server(bed: Bed) -> Iterator[int]:
    """The port of a small HTTP server on the address at which pods reach this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from the host\n")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((bed.host_address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_kubelet_reports_what_the_containers_use(bed: Bed, namespace: str) -> None:
    bed.apply(sample_deployment("web", namespace, BALLAST_MIB=64))
    bed.rollout("web", namespace)
    line = rf'^container_memory_working_set_bytes\{{container="sample",namespace="{namespace}".*\}} (\S+)'

    def memory() -> float:
        text = bed.kubectl("get", "--raw", "/api/v1/nodes/bed-node/proxy/metrics/resource")
        match = re.search(line, text, re.M)
        return float(match[1]) if match else 0.0

    assert wait_until(lambda: 64 << 20 < memory() < 256 << 20, 40, every=1)


def test_the_api_server_comes_back_with_everything_after_a_restart(bed: Bed, namespace: str) -> None:
    before = bed.processes.get("kube-apiserver")
    assert before is not None
    bed.kubectl("create", "configmap", "kept", "-n", namespace, "--from-literal=a=b")
    bed.restart("kube-apiserver")
    after = bed.processes.get("kube-apiserver")
    assert after is not None
    assert (before.alive, after.alive) == (False, True)
    assert {state for state in bed.status().values() if state == "ended"} == set()
    assert bed.get("configmap/kept", "-n", namespace)["data"] == {"a": "b"}


def test_a_restart_can_change_flags_and_change_them_back(bed: Bed) -> None:
    name, flag = "kube-controller-manager", "--horizontal-pod-autoscaler-sync-period=3s"
    bed.restart(name, flag)
    changed = bed.processes.get(name)
    bed.restart(name)
    restored = bed.processes.get(name)
    assert changed is not None
    assert restored is not None
    assert flag in changed.argv
    assert flag not in restored.argv


def test_a_rotated_front_proxy_ca_is_published(bed: Bed) -> None:
    def published_ca() -> str:
        return str(
            bed.get("configmap/extension-apiserver-authentication", "-n", "kube-system")["data"][
                "requestheader-client-ca-file"
            ]
        )

    old = bed.front_proxy_ca.read_text()
    assert old.strip() in published_ca()
    bed.rotate_front_proxy_ca()
    new = bed.front_proxy_ca.read_text()
    assert new != old
    assert wait_until(lambda: new.strip() in published_ca(), 30, every=0.5)


def test_certificates_and_tokens_are_who_they_say(bed: Bed, namespace: str) -> None:
    config = bed.kubeconfig_for("jane", ["developers"])
    whoami = ("auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups[0]}")
    assert bed.kubectl(*whoami, f"--kubeconfig={config}") == "jane developers"
    token = bed.token(namespace, "default")
    server = (f"--server={bed.plane.url}", f"--certificate-authority={bed.ca}", "--kubeconfig=/dev/null")
    robot = bed.kubectl(*whoami, f"--token={token}", *server)
    assert robot == f"system:serviceaccount:{namespace}:default system:serviceaccounts"


def test_fake_nodes_run_many_pods_that_are_only_objects(bed: Bed, namespace: str) -> None:
    bed.add_fake_nodes(2)
    deployment, _ = sample_deployment("many", namespace, 100)
    deployment["spec"]["template"]["spec"] |= {
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
    }
    bed.apply(deployment)
    bed.rollout("many", namespace)
    pods = bed.get("pods", "-n", namespace)["items"]
    assert len({pod["status"]["podIP"] for pod in pods}) == 100
    # on which of the two is the scheduler's to say: it may fill one after the other
    assert {pod["spec"]["nodeName"] for pod in pods} <= {"fake-0", "fake-1"}


def test_a_second_bed_is_refused_with_a_clear_sentence(bed: Bed, tmp_path: Path) -> None:
    with pytest.raises(BedError, match="a bed is up already in"):
        Bed.up(folder=bed.folder)
    with pytest.raises(BedError, match="another bed is up"):
        Bed.up(folder=tmp_path)


def test_a_bed_that_a_session_uses_is_not_taken_down_by_mistake(bed: Bed) -> None:
    done = subprocess.run(command("down", bed.folder), cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.match(r"the bed belongs to process \d+ \(a test session\), which still runs", done.stderr)
    assert "bed-node" in bed.names("nodes")


def test_down_from_another_process_leaves_nothing_behind(own_folder: Path) -> None:
    before = footprint(own_folder)
    bed = Bed.up(folder=own_folder, say=lambda text: None)
    bed.create_namespace("busy")
    bed.apply(sample_deployment("web", "busy", 3))
    bed.rollout("web", "busy")
    assert {"processes", "interfaces", "cgroups"} <= set(difference(before, footprint(own_folder)))  # it can tell
    subprocess.run(command("down", own_folder), cwd=CHECKOUT, check=True, timeout=60)
    assert difference(before, footprint(own_folder)) == {}
    assert not bed.folder.exists()


def test_down_clears_away_what_a_killed_up_left(own_folder: Path) -> None:
    before = footprint(own_folder)
    processes = Folder(own_folder)
    up = subprocess.Popen(command("up", own_folder), cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert wait_until(lambda: processes.get("kubelet") is not None, 60)
    up.send_signal(signal.SIGKILL)
    up.wait()
    subprocess.run(command("down", own_folder), cwd=CHECKOUT, check=True, timeout=60)
    assert difference(before, footprint(own_folder)) == {}


def test_a_failing_up_says_why_keeps_the_logs_and_leaves_nothing_behind(own_folder: Path) -> None:
    before = footprint(own_folder)
    said: list[str] = []
    flags = {"kube-apiserver": ["--no-such-flag"]}
    with pytest.raises(RuntimeError, match="unknown flag: --no-such-flag"):
        Bed.up(Options(nodes=0, flags=flags), own_folder, said.append)
    assert difference(before, footprint(own_folder)) == {}
    logs = Path(said[-1].removeprefix("logs are kept in "))
    assert "no-such-flag" in (logs / "kube-apiserver.log").read_text()
