"""Objects of Argo Rollouts and Flagger, and what import makes of them."""

import json
from pathlib import Path
from typing import Any

from adapter.rollout.foreign.read import Import, read

Object = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "tests" / "golden" / "import").glob("*[a-z].yaml"))


def of(*objects: Object) -> Import:
    """What import makes of these objects; they are given as JSON, which is YAML and faster to write."""
    return read("\n---\n".join(map(json.dumps, objects)).encode(), "theirs.yaml")


def rollout(strategy: Object | None = None, name: str = "web", **spec: Any) -> Object:
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
    given = {"selector": {"matchLabels": labels}, "template": pod, "progressDeadlineAbort": True}
    given["strategy"] = strategy or {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": 60}}]}}
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": meta, "spec": given | spec}


def template(*metrics: Object, name: str = "check", **spec: Any) -> Object:
    meta = {"name": name, "namespace": "shop"}
    spec = {"metrics": list(metrics), **spec}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": meta, "spec": spec}


def metric(query: str = "queue", success: str = "result[0] < 5", **more: Any) -> Object:
    return {"name": "m", "successCondition": success, "provider": {"prometheus": {"query": query}}, **more}


def strategy_with_analysis(steps: list[Object] | None = None, **canary: Any) -> Object:
    fields = {"steps": steps or [{"setWeight": 20}], "analysis": {"templates": [{"templateName": "check"}]}}
    return {"canary": fields | canary}


def canary(analysis: Object | None = None, **spec: Any) -> Object:
    given = {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "provider": "istio"}
    given["analysis"] = {"stepWeight": 10, "maxWeight": 30, "interval": "30s", **(analysis or {})}
    meta = {"name": "web", "namespace": "shop"}
    return {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": meta, "spec": given | spec}


def gate(*objects: Object) -> Object:
    """The only gate of the only policy that import makes of these objects."""
    (policy,) = of(*objects).policies
    (only_gate,) = policy["spec"]["gates"]
    return dict(only_gate)


def gate_from(query: str, success: str) -> Object:
    return gate(rollout(strategy_with_analysis()), template(metric(query, success)))


def sentences_about(conversion: Import, field: str) -> list[str]:
    return [each.says for each in conversion.findings if each.field == field]
