"""`make dashboards`: writes what is made by code under manifests/components/.

python -m loadtest.monitoring
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from loadtest.monitoring.adapter import ADAPTER
from loadtest.monitoring.board import build_dashboard
from loadtest.monitoring.cost import COST
from loadtest.monitoring.hpas import HPAS
from loadtest.monitoring.recommender import RECOMMENDER
from loadtest.monitoring.rollouts import ROLLOUTS

COMPONENTS: Final = Path(__file__).parents[2] / "manifests" / "components"
BOARDS: Final = (ADAPTER, HPAS, RECOMMENDER, ROLLOUTS, COST)
HEAD: Final = "# Made of components/alerts/rules.yaml by `make dashboards`.\n"


def prometheus_rule() -> str:
    """The alert rules as the Prometheus Operator's object."""
    made = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "streamgate-alerts", "namespace": "streamgate"},
        "spec": yaml.safe_load((COMPONENTS / "alerts" / "rules.yaml").read_text()),
    }
    return HEAD + yaml.safe_dump(made, sort_keys=False, width=120)


def files() -> Mapping[Path, str]:
    """Every file and what it holds."""
    boards = COMPONENTS / "dashboards"
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {
        COMPONENTS / "alerts-operator" / "prometheusrule.yaml": prometheus_rule(),
        **{boards / f"{one.name}.json": encoder.encode(build_dashboard(one).build()) + "\n" for one in BOARDS},
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
