"""Who we are at Prometheus: headers and certificates, made anew when their files change."""

import ssl
from collections.abc import Mapping

from multidict import CIMultiDict

from adapter import files
from adapter.metrics.prometheus.connection import Connection, Endpoint, basic
from adapter.metrics.prometheus.loaded import Loaded


class Identity:
    """As a connection says."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._token = Loaded([connection.token_file], self._read_token)
        self._pem = [connection.ca_file, connection.more_ca_file, connection.certificate_file, connection.key_file]
        self._tls = Loaded(self._pem, self._make_tls)

    async def headers(self, endpoint: Endpoint, more: Mapping[str, str]) -> CIMultiDict[str]:
        """Of a request, with `more` of them. Raises SourceError."""
        headers = CIMultiDict(self._connection.headers)
        username = self._connection.username or endpoint.username
        if token := self._token.get():
            headers["Authorization"] = f"Bearer {token}"
        elif username:
            password = self._connection.password if self._connection.username else endpoint.password
            headers["Authorization"] = basic(username, password)
        elif self._connection.credentials:
            own = await self._connection.credentials.headers()
            for name in own:
                headers.popall(name, None)
            headers.extend(own)
        headers.update(more)
        return headers

    def tls(self) -> ssl.SSLContext:
        """Of a connection. Raises SourceError."""
        return self._tls.get()

    def _read_token(self) -> str:
        path = self._connection.token_file
        token = files.read_text(path, files.MOST_TOKEN).strip() if path else self._connection.token
        if any(not "!" <= sign <= "~" for sign in token):
            raise OSError(None, "the token has blanks or signs that no HTTP header may have")
        return token

    def _make_tls(self) -> ssl.SSLContext:
        if self._connection.tls is not None:
            return self._connection.tls
        files.check_pem(*self._pem)
        context = ssl.create_default_context(cafile=self._connection.ca_file or None)
        if self._connection.more_ca_file and not self._connection.ca_file:
            context.load_verify_locations(self._connection.more_ca_file)
        if not self._connection.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self._connection.certificate_file:
            files.load_pair(context, self._connection.certificate_file, self._connection.key_file)
        return context
