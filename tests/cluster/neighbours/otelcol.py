"""An OpenTelemetry Collector: how it is set up between services that push and the adapter, and it as a pod."""

from typing import Any, Final

import yaml

from tests.cluster.manifests import Manifest

NAME: Final = "collector"
IMAGE: Final = "streamgate-otelcol:test"
PORT: Final = 4318


def config(receives: str, exporter: str, endpoint: str) -> dict[str, Any]:
    """OTLP/HTTP in at the address `receives`; batches of a second to `endpoint`, in gzip, as is exporters' default."""
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": receives}}}},
        "processors": {"batch": {"timeout": "1s"}},
        "exporters": {exporter: {"endpoint": endpoint, "tls": {"insecure": True}}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"metrics": {"receivers": ["otlp"], "processors": ["batch"], "exporters": [exporter]}},
        },
    }


def objects(namespace: str, exporter: str, endpoint: str) -> list[Manifest]:
    """Its Deployment of one pod, with its configuration, and the Service that pods push to."""
    metadata, labels = {"name": NAME, "namespace": namespace}, {"app": NAME}
    text = yaml.safe_dump(config(f"0.0.0.0:{PORT}", exporter, endpoint))
    container = {
        "name": NAME,
        "image": IMAGE,
        "args": ["--config=file:/conf/collector.yaml"],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "conf", "mountPath": "/conf"}],
    }
    pod = {"containers": [container], "volumes": [{"name": "conf", "configMap": {"name": NAME}}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"collector.yaml": text}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": PORT}]},
        },
    ]
