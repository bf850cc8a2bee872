"""What `streamgate-rollout import` makes, a real API server takes: by schema and rules, and no field is unknown."""

from pathlib import Path

import pytest

from adapter.rollout.foreign.read import read
from adapter.rollout.foreign.write import documents
from tests.cluster.adapter import ROOT
from tests.cluster.kubectl import Kubectl
from tests.cluster.rollout import DEFINITION

SAMPLES = sorted((ROOT / "tests" / "golden" / "import").glob("*.yaml"))


@pytest.mark.anywhere
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_what_comes_of_a_sample_is_taken(bed: Kubectl, namespace: str, sample: Path) -> None:
    bed.apply(DEFINITION)
    bed.wait("crd/rolloutpolicies.streamgate.io", "condition=Established", 30)
    objects = [
        {**each, "metadata": {**each["metadata"], "namespace": namespace}}
        for each in read(sample.read_bytes(), "a").objects
    ]
    said = bed.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=documents(objects))
    assert said.count("created (server dry run)") == len(objects) > 0
