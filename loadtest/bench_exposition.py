"""How fast exposition text is read, against prometheus_client's parser in the same run.

`python -m loadtest.bench_exposition`. Conditions: one thread, processor time (so that neighbours on the machine weigh
less), the body of a kubelet-like target in memory, best of the repetitions. 'cold' is a parser that has never seen the
body, 'repeated' one that has; values differ from scrape to scrape, series do not.
"""

import argparse
import platform
import time
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from adapter.metrics.scrape.exposition import Parser

NOW = 1_700_000_000.0


def body(lines: int, scrape: int, *, stamped: bool = True) -> bytes:
    """`lines` samples of container metrics with five labels, `stamped` with timestamps, as kubelets have them."""
    text = ["# HELP container_cpu_usage_seconds_total CPU", "# TYPE container_cpu_usage_seconds_total counter"]
    text += [
        f'container_cpu_usage_seconds_total{{container="app-{i % 7}",namespace="team-{i % 50}",pod="web-{i}-x7k2p",'
        f'image="registry/team/app:v{i % 11}",id="/kubepods/burstable/pod{i:032x}"}} '
        f"{i * 1.25 + scrape}" + f" 1700000000{i % 1000:03d}" * stamped
        for i in range(lines)
    ]
    return ("\n".join(text) + "\n").encode()


def best(run: Callable[[int], object], repetitions: int) -> float:
    """Seconds of the fastest of some runs; each gets its number."""
    times = []
    for number in range(repetitions):
        start = time.process_time()
        run(number)
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Print a line per way of reading."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=20_000)
    arguments.add_argument("--repetitions", type=int, default=5)
    arguments.add_argument("--plain", action="store_true", help="lines without timestamps, as pods have them")
    options = arguments.parse_args()
    bodies = [body(options.lines, scrape, stamped=not options.plain) for scrape in range(options.repetitions)]
    parser = Parser({"node": "n1"})
    parser.parse(bodies[0], NOW)
    slices = Parser({"node": "n1"})

    peer = best(lambda n: list(text_string_to_metric_families(bodies[n].decode())), options.repetitions)
    ways = {
        "prometheus_client": peer,
        "ours, cold": best(lambda n: Parser({"node": "n1"}).parse(bodies[n], NOW), options.repetitions),
        "ours, repeated": best(lambda n: parser.parse(bodies[n], NOW), options.repetitions),
    }
    size = len(bodies[0]) / 1e6
    print(f"Python {platform.python_version()}, {options.lines} lines, {size:.1f} MB, best of {options.repetitions}")
    for name, seconds in ways.items():
        rate = options.lines / seconds / 1e3
        print(f"{name:20} {seconds * 1e3:8.1f} ms {rate:8.0f} k lines/s {peer / seconds:6.1f} x")
    longest = max(_gaps(slices, bodies[0]))
    print(f"longest slice, cold  {longest * 1e3:8.1f} ms")


def _gaps(parser: Parser, text: bytes) -> list[float]:
    times, start = [], time.process_time()
    for _ in parser.parse_chunks(text, NOW):
        times.append(time.process_time() - start)
        start = time.process_time()
    return times


if __name__ == "__main__":
    main()
