"""Somebody who asks as an HPA and a kubelet do, in a process of its own, and measures how long each waits.

Run as `python -m tests.attack.bystander PORT CERTIFICATE`. One connection is kept, as the aggregator does, and asked
for an HPA's values; another one is opened for each request of /readyz, as the kubelet does. A line of its input asks
for a line of JSON: the longest wait since the last one, how many were answered, and what failed.
"""

import json
import socket
import ssl
import sys
import threading
import time

VALUES = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/queue_depth?labelSelector=app%3Dweb"
USER = "X-Remote-User: system:serviceaccount:kube-system:horizontal-pod-autoscaler\r\n"
PATIENCE = 10.0
"""s, of one try; whoever waits longer has not been served."""


class Client:
    """One way of asking, again and again."""

    def __init__(self, port: int, path: str, *, headers: str, certificate: str, kept: bool, every: float) -> None:
        self._address = ("127.0.0.1", port)
        self._request = f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        if certificate:
            self._tls.load_cert_chain(certificate)
        self._kept, self._every = kept, every
        self._connection: ssl.SSLSocket | None = None
        self._lock = threading.Lock()
        self._longest, self._answered, self._failed = 0.0, 0, dict[str, int]()
        self._since: float | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def take_counts(self) -> tuple[float, int, dict[str, int]]:
        """Longest wait in s, the present one too, answers, and failures by their kind, since the last call."""
        with self._lock:
            waiting = time.monotonic() - self._since if self._since is not None else 0.0
            counts = max(self._longest, waiting), self._answered, self._failed
            self._longest, self._answered, self._failed = 0.0, 0, {}
        return counts

    def _run(self) -> None:
        while True:
            began = self._since = time.monotonic()
            problem = self._ask()
            with self._lock:
                self._longest = max(self._longest, time.monotonic() - began)
                self._since = None
                self._answered += not problem
                if problem:
                    self._failed[problem] = self._failed.get(problem, 0) + 1
            time.sleep(self._every)

    def _ask(self) -> str:
        """One answer; on a connection that was kept and has been closed meanwhile once more, as Go's client does."""
        for again in (self._connection is not None, False):
            try:
                if self._connection is None:
                    plain = socket.create_connection(self._address, PATIENCE)
                    self._connection = self._tls.wrap_socket(plain)
                self._connection.sendall(self._request)
                status = self._status(self._connection)
            except OSError as error:
                self._drop()
                if not again:
                    return type(error).__name__
            else:
                if not self._kept:
                    self._drop()
                return "" if status == "200" else f"status {status}"
        return "no answer"

    def _status(self, connection: ssl.SSLSocket) -> str:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (more := connection.recv(65536)):
                raise ConnectionResetError
            head += more
        head, _, body = head.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:"))
        while len(body) < length:
            if not (more := connection.recv(65536)):
                raise ConnectionResetError
            body += more
        return lines[0].split()[1]

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def main(port: int, certificate: str) -> None:
    """Ask until the input ends."""
    clients = [
        Client(port, VALUES, headers=USER, certificate=certificate, kept=True, every=0.05),
        Client(port, "/readyz", headers="", certificate="", kept=False, every=0.25),
    ]
    for _ in sys.stdin:
        told = [client.take_counts() for client in clients]
        failed: dict[str, int] = {}
        for client, (_, _, problems) in zip(("HPA", "kubelet"), told, strict=True):
            failed |= {f"{client}: {problem}": count for problem, count in problems.items()}
        answer = {"hpa": told[0][0], "kubelet": told[1][0], "answered": [one[1] for one in told], "failed": failed}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
