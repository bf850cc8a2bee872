"""The service account of the pod that we run in, and what any source of credentials says.

The client library reads its files, too, but importing it takes a quarter of the adapter's start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapter import files

HOST: Final = "KUBERNETES_SERVICE_HOST"
PORT: Final = "KUBERNETES_SERVICE_PORT"


class AccountError(ValueError):
    """It cannot be read; one sentence without the folder."""


@dataclass(frozen=True)
class Found:
    """Where the API server is and who we are, as it stands now."""

    host: str
    """URL."""
    authorization: str = ""
    """The header's value, a secret; empty for none."""
    ssl_ca_cert: str = ""
    """File of the CAs that the server's certificate is checked against; empty for the system's."""
    cert_file: str = ""
    key_file: str = ""
    verify_ssl: bool = True
    tls_server_name: str = ""
    proxy: str = ""


class Account:
    """The service account that the kubelet mounts into `folder`."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.where = str(folder)
        self._folder = folder
        self._environ = environ

    async def load(self, anew: bool) -> Found:
        """See config._Loader. Raises AccountError, OSError, ValueError."""
        server, authority = self._server(), self._folder / "ca.crt"
        token = _text(self._folder / "token", files.MOST_TOKEN, "token")
        _text(authority, files.MOST_PEM, "certification")
        return Found(server, authorization=f"Bearer {token}", ssl_ca_cert=str(authority))

    def ages(self) -> bool:
        """See config._Loader."""
        return True

    def namespace(self) -> str:
        """That we run in."""
        try:
            return files.read_text(self._folder / "namespace", files.MOST_TOKEN).strip()
        except (OSError, UnicodeDecodeError):
            return "default"

    def impersonates(self) -> Sequence[tuple[str, str]]:
        """See config._Loader."""
        return ()

    def _server(self) -> str:
        host, port = self._environ.get(HOST, ""), self._environ.get(PORT, "")
        if not host or not port:
            raise AccountError(f"{HOST} and {PORT} are not both set; the kubelet sets them")
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _text(file: Path, most: int, what: str) -> str:
    try:
        text = files.read_text(file, most).strip()
    except FileNotFoundError as error:
        raise AccountError(f"Service {what} file does not exist") from error
    if not text:
        raise AccountError(f"Service {what} file is empty")
    return text
