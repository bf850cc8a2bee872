"""Exec plugins of a kubeconfig: programs that tell who we are, run within bounds of time and output.

The protocol is client-go's (client.authentication.k8s.io). Nothing that a plugin prints is ever logged: it is secret.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from adapter.files import size

MOST_BYTES: Final = 1 << 20
"""Of a plugin's output: a token, or a certificate and a key."""
RUN_S: Final = 180.0
"""s for a plugin to end: somebody may have to log in meanwhile."""


class PluginError(ValueError):
    """A plugin gives no credentials; one sentence without the file."""


async def run(spec: Mapping[str, Any], run_s: float = RUN_S) -> Mapping[str, Any]:
    """The `status` of what the plugin of a user's `exec` prints. Raises PluginError."""
    command, version = str(spec.get("command") or ""), spec.get("apiVersion")
    if not command or not version:
        raise PluginError("exec lacks command or apiVersion; right would be both, as `kubectl config view` shows")
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": sys.stdout.isatty()}}
    environ = {str(item["name"]): str(item["value"]) for item in spec.get("env") or ()}
    arguments = [command, *map(str, spec.get("args") or ())]
    try:
        text = await _output(arguments, os.environ | environ | {"KUBERNETES_EXEC_INFO": json.dumps(info)}, run_s)
    except TimeoutError:
        raise PluginError(
            f"the exec plugin {command} did not end within {run_s:g} s; run it by hand to see why"
        ) from None
    except OSError as error:
        raise PluginError(f"the exec plugin {command} cannot be run: {error.strerror or error}") from error
    return _status(text, command, version)


async def _output(arguments: list[str], environ: Mapping[str, str], run_s: float) -> bytes:
    """What the program prints; stderr is for whoever started us. Raises PluginError, TimeoutError, OSError."""
    process = await asyncio.create_subprocess_exec(*arguments, env=environ, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    output = bytearray()
    try:
        async with asyncio.timeout(run_s):
            while piece := await process.stdout.read(64 * 1024):
                output += piece
                if len(output) > MOST_BYTES:
                    why = f"printed more than {size(MOST_BYTES)}; right would be one ExecCredential"
                    raise PluginError(f"the exec plugin {arguments[0]} {why}")
            code = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            if process.returncode is None:
                process.kill()
                await process.wait()
    if code:
        raise PluginError(
            f"the exec plugin gave no credentials: {arguments[0]} ended with code {code}; run it by hand to see why"
        )
    return bytes(output)


def _status(text: bytes, command: str, version: object) -> Mapping[str, Any]:
    try:
        credential = json.loads(text)
    except (ValueError, RecursionError):
        raise PluginError(f"the exec plugin {command} printed no JSON; run it by hand to see what") from None
    if (
        not isinstance(credential, dict)
        or credential.get("kind") != "ExecCredential"
        or credential.get("apiVersion") != version
    ):
        raise PluginError(f"the exec plugin {command} printed something else than an ExecCredential of {version}")
    status = credential.get("status")
    if not isinstance(status, dict) or not (status.get("token") or status.get("clientCertificateData")):
        raise PluginError(f"the exec plugin gave no credentials: what {command} printed has no token, no certificate")
    return status
