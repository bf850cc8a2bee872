"""The adapter's dashboard as it is after some minutes of a real load, for docs/img.

    python -m loadtest.monitoring.live [--seconds 600] [--into docs/img]

The adapter without a cluster, three services under the load of `make run`, somebody who asks as an HPA does, and a real
Prometheus that scrapes the adapter every 5 s: what is drawn is what these measured. It ends by itself.
"""

import argparse
import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import yaml

from loadtest.demo import PODS, SCRAPE, arrivals, objects
from loadtest.load import Stream, drive
from loadtest.monitoring.pictures import asking, boards, save
from loadtest.standalone import Adapter, free_port, program
from tests.cluster.prometheus import RunningPrometheus

RULES: Final = Path(__file__).parents[2] / "manifests" / "components" / "alerts" / "rules.yaml"
"""Two panels draw what a recording rule makes."""
TARGET: Final = 15
ASKED_EVERY: Final = 5.0
"""s between two requests: three HPAs' worth."""


def scraping(adapter: Adapter) -> dict[str, Any]:
    """Prometheus' configuration: our rules, and the adapter, with the labels that the usual scrape of pods adds."""
    tls = {
        "ca_file": str(adapter.folder / "ca.crt"),
        "cert_file": str(adapter.folder / "client.crt"),
        "key_file": str(adapter.folder / "client.key"),
    }
    labels = {"namespace": "streamgate", "pod": "streamgate-adapter"}
    target = {"targets": [adapter.url.removeprefix("https://")], "labels": labels}
    job = {"job_name": "streamgate-adapter", "scheme": "https", "tls_config": tls, "static_configs": [target]}
    return {
        "global": {"scrape_interval": "5s", "scrape_timeout": "4s", "evaluation_interval": "5s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [job],
    }


async def live(seconds: float, into: Path) -> None:
    """Run all of it for so long, then draw."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamgate-")))
        ports = [free_port() for _ in PODS]
        for name, port in zip(PODS, ports, strict=True):
            words = ("loadtest.sample", "--host", "127.0.0.1", "--port", str(port), "--work-ms", "2")
            await stack.enter_async_context(program(*words, log=folder / f"{name}.log"))
        file = folder / "objects.yaml"
        file.write_text(yaml.safe_dump_all(objects(ports, TARGET)))
        adapter = Adapter(folder / "credentials", free_port())
        await stack.enter_async_context(adapter.running(file, scrape=SCRAPE, log=folder / "adapter.log"))
        streams = [Stream("127.0.0.1", port) for port in ports]
        for number, stream in enumerate(streams):
            stack.callback(asyncio.create_task(drive(stream, seed=number)).cancel)
        prometheus = RunningPrometheus(folder, folder / "targets.json")
        (folder / "prometheus.yml").write_text(yaml.safe_dump(scraping(adapter)))
        stack.callback(prometheus.end)
        await asyncio.to_thread(prometheus.start)
        await _load(adapter, streams, seconds)
        ask = asking(prometheus.url, time.time(), span=seconds)
        await asyncio.to_thread(save, into / "dashboard-adapter.png", boards()["adapter"], ask)


async def _load(adapter: Adapter, streams: list[Stream], seconds: float) -> None:
    began = time.monotonic()
    while (gone := time.monotonic() - began) < seconds:
        for pod, stream in enumerate(streams):
            stream.rate = arrivals(pod, gone)
        await adapter.fetch_values()
        await asyncio.sleep(ASKED_EVERY)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="of load")
    parser.add_argument("--into", type=Path, default=Path("docs/img"), help="the folder")
    given = parser.parse_args()
    asyncio.run(live(given.seconds, given.into))


if __name__ == "__main__":
    main()
