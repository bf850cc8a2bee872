"""Pushes the metrics to an OTLP/HTTP receiver every few seconds, and once more at the end."""

import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from loadtest.sample.settings import Settings

TIMEOUT_S = 5.0


def resource(settings: Settings) -> dict[str, str]:
    """OpenTelemetry's attributes of where this runs; those that are not known are left out."""
    attributes = {
        "service.name": "sample",
        "service.instance.id": settings.pod_name,
        "k8s.namespace.name": settings.pod_namespace,
        "k8s.pod.name": settings.pod_name,
    }
    return {key: value for key, value in attributes.items() if value}


async def push(settings: Settings, message: Callable[[float], dict[str, Any]]) -> None:
    """Until cancelled. A receiver that does not answer is reported once per change, and tried again in its turn."""
    problem = ""
    while True:
        await asyncio.sleep(settings.otlp_interval_s)
        said = await asyncio.to_thread(post, settings.otlp_target, message(time.time()))
        if said != problem:
            print(f"OTLP push to {settings.otlp_target}: {said or 'works again'}", file=sys.stderr, flush=True)
        problem = said


def post(target: str, message: dict[str, Any]) -> str:
    """Sends one message; what went wrong, or an empty string."""
    request = urllib.request.Request(
        target, json.dumps(message).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            answer.read(65536)
    except OSError as error:
        return str(error)
    return ""
