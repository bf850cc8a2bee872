"""cert-manager as pods of its own chart, out of the module that its programs are built from; installed by helm."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.cluster.bed import Bed
from tests.cluster.binaries import pinned_version
from tests.cluster.catalogue import CERT_MANAGER
from tests.cluster.chart import run_helm
from tests.cluster.modules import sources
from tests.cluster.neighbours.hosted import import_program

NAME: Final = "cert-manager"
NAMESPACE: Final = "cert-manager"
DEPLOYMENTS: Final = {
    "cert-manager": "cert-manager-controller",
    "cert-manager-cainjector": "cert-manager-cainjector",
    "cert-manager-webhook": "cert-manager-webhook",
}
"""And the program that each runs."""
UNRELEASED: Final = "v0.1.0"
"""The chart's version in the sources; a release puts its own there."""


def chart(folder: Path) -> Path:
    """The chart as its release makes it: its version filled in, its definitions among the templates."""
    deploy, made = sources(NAME, CERT_MANAGER) / "deploy", folder / NAME
    shutil.copytree(deploy / "charts" / NAME, made, copy_function=shutil.copyfile)
    for path in (made, made / "templates"):
        path.chmod(0o755)  # those of modules are read-only
    about = (deploy / "charts" / NAME / "Chart.template.yaml").read_text()
    (made / "Chart.yaml").write_text(about.replace(UNRELEASED, pinned_version(NAME)))
    definitions = [path.read_text() for path in sorted((deploy / "crds").glob("crd-*.yaml"))]
    (made / "templates" / "crds.yaml").write_text("\n---\n".join(definitions))
    return made


@contextmanager
def installed(bed: Bed, folder: Path) -> Iterator[None]:
    """Installs cert-manager, its three Deployments complete; it is gone afterwards."""
    for program in DEPLOYMENTS.values():
        import_program(bed, program, f"quay.io/jetstack/{program}:{pinned_version(NAME)}")
    place = ["--kubeconfig", str(bed.kubeconfig), "-n", NAMESPACE]
    done = run_helm(
        "install", NAME, str(chart(folder)), "--create-namespace", "--set", "startupapicheck.enabled=false", *place
    )
    assert done.returncode == 0, done.stderr
    try:
        for name in DEPLOYMENTS:
            bed.rollout(name, NAMESPACE, seconds=120)
        yield
    finally:
        run_helm("uninstall", NAME, "--wait", *place, seconds=120)
        bed.delete_namespace(NAMESPACE)
