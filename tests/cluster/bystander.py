"""Somebody who asks for a metric through the API server, again and again, while something happens to who serves it."""

import threading

from tests.cluster.kubectl import Kubectl
from tests.cluster.processes import CommandError


class Bystander:
    """Asks for a metric through the API server, as an HPA does; `failures` are what it got instead of an answer."""

    def __init__(self, bed: Kubectl, path: str) -> None:
        self._bed, self._path = bed, path
        self.answers, self.failures = 0, list[str]()
        self.longest = 0
        """Failures in a row, at most."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Bystander":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        row = 0
        while not self._stop.wait(0.1):
            try:
                self._bed.raw(self._path)
                self.answers, row = self.answers + 1, 0
            except CommandError as error:
                self.failures.append(str(error)[-200:])
                row += 1
                self.longest = max(self.longest, row)
