"""The bed's parts that need no cluster: where programs come from, which processes are ended, what images hold."""

import functools
import hashlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from tests.cluster import binaries, images, network, releases, versions
from tests.cluster.binaries import MissingError, find
from tests.cluster.certs import Authority
from tests.cluster.footprint import difference
from tests.cluster.foreign import REQUIRED, ForeignBed
from tests.cluster.processes import DiedEarlyError, Folder, children, strays, wait_until
from tests.cluster.releases import module_text


def program(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with an empty cache, no network and nothing but `bin` on PATH."""
    for name in ("STREAMGATE_KUBE_BIN", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STREAMGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(binaries, "RELEASES", "http://127.0.0.1:1")
    return tmp_path


# -- a cluster that is not ours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("required", "ends"), [("0", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_what_a_foreign_cluster_cannot_do_is_a_skip_or_where_it_is_required_a_failure(
    required: str, ends: type[Exception], bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare / "bin", "kubectl", "docker-desktop")
    (bare / "config").write_text("")
    monkeypatch.setenv("KUBECONFIG", str(bare / "config"))
    monkeypatch.setenv(REQUIRED, required)
    bed = ForeignBed()
    with pytest.raises(ends, match="needs the test bed"):
        _ = bed.host_address
    with pytest.raises(ends, match="no known way to give an image to the cluster of context docker-desktop"):
        bed.import_image(bare / "image.tar")


# -- where programs come from -----------------------------------------------------------------------------------------


def test_the_environment_wins_over_path_and_that_over_the_cache(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = program(bare / "cache", "x", "").parent / f"etcd-{binaries.pinned_version('etcd')}"
    assert find([], print) == {}
    in_cache = program(cached, "etcd", "etcd Version: 3.6.1")
    assert find(["etcd"]) == {"etcd": in_cache}
    on_path = program(bare / "bin", "etcd", "etcd Version: 3.5.9")
    assert find(["etcd"]) == {"etcd": on_path}
    named = program(bare / "named", "etcd", "whatever")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(bare / "named"))
    assert find(["etcd"]) == {"etcd": named}


def test_a_version_on_path_that_we_do_not_support_is_passed_over(bare: Path) -> None:
    program(bare / "bin", "etcd", "etcd Version: 3.4.23")
    with pytest.raises(MissingError, match=r"etcd: .*not on PATH"):
        find(["etcd"])


def test_kubernetes_programs_on_path_count_only_all_together_and_in_one_version(bare: Path) -> None:
    program(bare / "bin", "kube-apiserver", "Kubernetes v1.36.1")
    with pytest.raises(MissingError):
        find(["kube-apiserver", "kubectl"])
    program(bare / "bin", "kubectl", "Client Version: v1.32.4-dispatcher")
    with pytest.raises(MissingError):
        find(["kube-apiserver", "kubectl"])
    program(bare / "bin", "kubectl", "Client Version: v1.36.0")
    assert set(find(["kube-apiserver", "kubectl"])) == {"kube-apiserver", "kubectl"}


def test_what_nothing_has_is_told_with_every_source_reason(bare: Path) -> None:
    with pytest.raises(MissingError) as caught:
        find(["kubelet"])
    (reasons,) = caught.value.reasons.values()
    assert len(reasons) == 5
    assert "Connection refused" in reasons[3]
    assert reasons[4] == "no Go toolchain on PATH to build it with"


@pytest.fixture
def release(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server of releases: its address, and the folder of the wanted version."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    folder = tmp_path / "www" / binaries.pinned_version("kubernetes") / "bin" / "linux" / machine
    folder.mkdir(parents=True)
    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def test_a_download_is_kept_when_its_checksum_is_right(release: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = release
    (folder / "kubectl").write_bytes(b"program")
    (folder / "kubectl.sha256").write_text(hashlib.sha256(b"program").hexdigest())
    path = binaries.download("kubectl", tmp_path / "kept", lambda text: None, base=url)
    assert path.read_bytes() == b"program"
    assert os.access(path, os.X_OK)


def test_a_download_with_a_wrong_checksum_leaves_nothing(release: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = release
    (folder / "kubectl").write_bytes(b"something else")
    (folder / "kubectl.sha256").write_text(hashlib.sha256(b"program").hexdigest())
    with pytest.raises(OSError, match="the release says"):
        binaries.download("kubectl", tmp_path / "kept", lambda text: None, base=url)
    assert list((tmp_path / "kept").iterdir()) == []


def test_go_names_a_program_after_the_last_word_that_is_no_version() -> None:
    assert binaries._program_name("go.etcd.io/etcd/server/v3") == "server"
    assert binaries._program_name("k8s.io/kubernetes/cmd/kubelet") == "kubelet"


# -- processes --------------------------------------------------------------------------------------------------------


def test_only_the_process_that_was_started_is_ended_not_a_later_one_with_its_pid(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    process = folder.start("sleeper", ["sleep", "60"])
    earlier = replace(process, started=process.started - 1)  # as if the pid had been given away since
    assert not earlier.alive
    earlier.end(0)
    assert [one.alive for one in folder.all()] == [True]
    folder.stop("sleeper")
    assert (process.alive, folder.all()) == (False, [])


def test_a_wrapper_takes_what_it_wraps_with_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    process = folder.start("wrapper", ["sh", "-c", "sleep 60; true"])
    assert wait_until(lambda: len(children(process)) == 1, 5)
    (inner,) = children(process)
    folder.stop("wrapper")
    assert (process.alive, inner.alive) == (False, False)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    process = folder.start("stubborn", ["sh", "-c", "trap '' TERM; echo set; while :; do sleep 1; done"])
    assert wait_until(lambda: process.tail() == "set", 5)
    folder.stop("stubborn", seconds=0.2)
    assert not process.alive


def test_a_process_without_a_record_is_found_by_its_mark(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    process = folder.start("sleeper", ["sleep", "60"])
    # The kernel lets the parent go on a moment before the child's environment can be read.
    assert wait_until(lambda: [one.pid for one in strays(str(tmp_path))] == [process.pid], 10)
    assert strays(str(tmp_path / "other")) == []
    folder.stop("sleeper")


def test_a_second_process_of_one_name_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.start("sleeper", ["sleep", "60"])
    with pytest.raises(RuntimeError, match="sleeper is running already"):
        folder.start("sleeper", ["sleep", "60"])
    folder.stop("sleeper")


def test_waiting_for_a_program_that_dies_ends_at_once_with_its_last_words(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    process = folder.start("failing", ["sh", "-c", "echo no such flag; exit 2"])
    with pytest.raises(DiedEarlyError, match="no such flag"):
        folder.wait_ready(process, lambda: False, 30)


def test_a_started_program_outlives_who_started_it(tmp_path: Path) -> None:
    code = "import sys, pathlib; from tests.cluster.processes import Folder"
    code += "; Folder(pathlib.Path(sys.argv[1])).start('s', ['sleep', '60'])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=images.CHECKOUT, check=True)
    process = Folder(tmp_path).get("s")
    assert process is not None
    assert process.alive
    os.kill(process.pid, signal.SIGKILL)
    assert wait_until(lambda: not process.alive, 5)


# -- certificates, addresses, images ----------------------------------------------------------------------------------


def test_a_renewed_authority_no_longer_vouches_for_what_it_signed_before(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    pair = authority.issue("jane", "jane", ["developers"], hosts=["localhost", "127.0.0.1"])
    leaf = x509.load_pem_x509_certificate(pair.cert.read_bytes())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.cert.read_bytes()))
    assert leaf.subject.rfc4514_string() == "CN=jane,O=developers"
    authority.renew()
    with pytest.raises(ValueError, match="does not match"):
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.cert.read_bytes()))
    assert pair.key.stat().st_mode & 0o077 == 0


def test_networks_that_overlap_the_beds_are_named() -> None:
    assert network.overlaps(["default", "192.168.1.0/24", "10.0.0.0/8", "10.96.4.1"]) == ["10.0.0.0/8", "10.96.4.1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can chroot")
def test_the_sample_image_holds_an_interpreter_that_runs_the_sample(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STREAMGATE_CACHE", str(tmp_path / "cache"))
    archive = images.sample(None)
    assert images.sample(None) == archive
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "image", filter="data")
    for layer in (tmp_path / "image").glob("*/layer.tar"):
        with tarfile.open(layer) as tar:
            tar.extractall(tmp_path / "root", filter="tar")
    interpreter = os.path.realpath(sys.executable)
    words = [
        shutil.which("chroot") or "/usr/sbin/chroot",
        str(tmp_path / "root"),
        interpreter,
        "-c",
        "import loadtest.sample.service, ssl; print('runs')",
    ]
    done = subprocess.run(words, env={"PYTHONPATH": "/app"}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("runs\n", "")


def test_a_footprint_tells_what_came_and_what_went() -> None:
    before = {"mounts": ["/", "/a"], "rules": ["a", "b"], "routes": ["c"]}
    after = {"mounts": ["/", "/b"], "rules": ["b", "c"], "routes": ["c"]}
    assert difference(before, after) == {"mounts": ["/b"], "rules": ["c", "-a"]}


# ---- other versions of Kubernetes


def test_what_is_no_version_is_said_to_be_none_and_nothing_is_fetched() -> None:
    with pytest.raises(MissingError, match=r"1\.30 is no version of Kubernetes; 1\.30\.14 is one"):
        releases.find("1.30", ["kubelet"])


def test_a_resize_in_place_is_tried_where_kubernetes_has_it() -> None:
    """pods/resize is beta, and on, from 1.33."""
    resize = "tests/cluster/test_recommender.py::test_a_pod_is_resized_in_place_without_a_restart"
    assert resize not in versions.select_tests("1.32.9")
    assert resize in versions.select_tests("1.33.0")
    for name in versions.select_tests("1.37.2"):
        file, _, test = name.partition("::")
        assert f"def {test}(" in (images.CHECKOUT / file).read_text()


def test_how_tests_ended_is_read_from_their_report() -> None:
    report = """<testsuites><testsuite>
<testcase name="good"><properties><property name="up_s" value="12"/></properties></testcase>
<testcase name="bad"><properties/><failure message="no"/></testcase>
<testcase name="absent"><skipped/></testcase>
<testcase name="torn"><failure/><error/></testcase>
</testsuite></testsuites>"""
    assert versions.outcomes(report) == {"good": "yes", "bad": "failure", "absent": "skipped", "torn": "failure"}


def test_an_older_kubernetes_is_built_with_the_libraries_of_its_release() -> None:
    """Kubernetes 1.30.14 and k8s.io/api 0.30.14 are one release; a library from elsewhere keeps its version."""
    upstream = """
replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/kubectl => ./staging/src/k8s.io/kubectl
)
require github.com/google/uuid v1.6.0
"""
    made = module_text("1.30.14", upstream, ["kubelet"])
    assert "require k8s.io/kubernetes v1.30.14\n" in made
    assert "\tk8s.io/api => k8s.io/api v0.30.14\n\tk8s.io/kubectl => k8s.io/kubectl v0.30.14\n" in made
    assert "tool (\n\tk8s.io/kubernetes/cmd/kubelet\n)\n" in made
    assert "uuid" not in made


def test_helm_is_told_which_kubernetes_to_believe_in() -> None:
    """Else it takes 1.20, for which the chart is not."""
    flags = binaries._link_flags("helm")
    _, minor, _ = binaries.pinned_version("kubernetes").split(".")
    assert f"pkg/chartutil.k8sVersionMinor={minor}" in flags
    assert "component-base" not in flags
