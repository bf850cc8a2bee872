"""A kubeconfig, read by the client library within bounds that it does not know: of sizes, kinds of files, time."""

import datetime
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.kube_config import FileOrData, KubeConfigLoader, KubeConfigMerger

from adapter import files
from adapter.kube import plugin, users
from adapter.kube.account import Found
from adapter.units.yamltext import check_values

MOST_BYTES: Final = 4 << 20
"""Of one file: some 1,000 clusters with their certificates."""
MOST_VALUES: Final = 100_000
DEEPEST: Final = 50
"""Lists and maps inside each other."""
_EARLY: Final = datetime.timedelta(minutes=5)
"""Before its time is over a plugin's token is asked for anew, as the client library does."""
_PLUGIN: Final = "exec"


class KubeconfigError(ValueError):
    """What the client library says of a file."""


class Kubeconfig:
    """One context of one or several files."""

    def __init__(self, where: str, context: str, server: str) -> None:
        """`where` as in $KUBECONFIG; `server` stands in for the one that a file names."""
        self.where = where
        self._context = context
        self._server = server
        self._loader: Any = None

    async def load(self, anew: bool) -> Found:
        """See config._Loader. Raises KubeconfigError, OSError, and what a malformed file leads the library to."""
        try:
            if anew or self._loader is None:
                self._loader = self._read()
            configuration = Configuration()
            await self._loader.load_and_set(configuration)
        except ConfigException as error:
            raise KubeconfigError(str(error)) from error
        return _from_configuration(configuration)

    def ages(self) -> bool:
        """A plugin that names no time of expiry is asked again only after a refusal, as client-go does."""
        return _PLUGIN not in self._user or self._loader.expires is not None

    def namespace(self) -> str:
        """That the context names."""
        return str(self._loader.current_context["context"].get("namespace") or "default")

    def impersonates(self) -> Sequence[tuple[str, str]]:
        """See config._Loader."""
        return users.impersonation(self._user)

    def _read(self) -> Any:
        merged, self._users = users.read(self._merge)
        if self._server:
            for cluster in merged["clusters"]:
                cluster["cluster"].value["server"] = self._server
        return _Context(merged, active_context=self._context or None, config_base_path=None)

    def _merge(self) -> Any:
        """All existing files, merged by the client library; checked first, since it reads without bounds."""
        named = [Path(file).expanduser() for file in self.where.split(os.pathsep) if file]
        existing = [path for path in named if path.exists()]
        if not existing:
            raise ConfigException("there is no such file")
        for path in existing:
            text = files.read(path, MOST_BYTES)
            with suppress(yaml.YAMLError):  # which the library tells of by the place
                check_values(text, values=MOST_VALUES, depth=DEEPEST)
        return KubeConfigMerger(self.where).config

    @property
    def _user(self) -> Mapping[str, object]:
        return self._users.get(self._loader.current_context["context"]["user"], {})


def _from_configuration(said: Configuration) -> Found:
    return Found(
        said.host,
        authorization=str(said.api_key.get("BearerToken", "")).strip(),  # files end in a newline, headers must not
        ssl_ca_cert=said.ssl_ca_cert or "",
        cert_file=said.cert_file or "",
        key_file=said.key_file or "",
        verify_ssl=bool(said.verify_ssl),
        tls_server_name=said.tls_server_name or "",
        proxy=said.proxy or "",
    )


class _Context(KubeConfigLoader):  # type: ignore[misc]  # the library is not typed
    """The library's reader of a context, which looks at each file before it reads it and runs plugins by itself."""

    expires: datetime.datetime | None = None
    """When what the plugin said last ends, where it said so."""

    async def load_and_set(self, client_configuration: Configuration) -> None:
        for node, field, data, most in (
            (self._user, "tokenFile", "token", files.MOST_TOKEN),
            (self._user, "client-certificate", "client-certificate-data", files.MOST_PEM),
            (self._user, "client-key", "client-key-data", files.MOST_PEM),
            (self._cluster, "certificate-authority", "certificate-authority-data", files.MOST_PEM),
        ):
            if node is not None and node.value.get(field) and data not in node.value:
                with suppress(FileNotFoundError):  # which the library tells of
                    files.read(Path(node.path).parent / node.value[field], most)
        await super().load_and_set(client_configuration)

    async def load_from_exec_plugin(self) -> bool:
        if self.expires is not None and datetime.datetime.now(datetime.UTC) + _EARLY < self.expires:
            return True
        status = await plugin.run(self._user[_PLUGIN].value)
        if status.get("token"):
            self.token = f"Bearer {status['token']}"
        if status.get("clientCertificateData") and status.get("clientKeyData"):
            self.cert_file, self.key_file = (
                FileOrData(status, None, data_key_name=field, base64_file_content=False).as_file()
                for field in ("clientCertificateData", "clientKeyData")
            )
        ends = status.get("expirationTimestamp")
        self.expires = datetime.datetime.fromisoformat(str(ends)) if ends else None
        return True
