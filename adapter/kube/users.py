"""The users of a kubeconfig, as client-go reads them: what the loader of the client library leaves out or mistakes."""

import os
import string
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ANONYMOUS = "streamgate:anonymous"
_NAME_SIGNS = frozenset("!#$&'*+-.^_`|~" + string.digits + string.ascii_letters)
"""What the key of an extra may have in a header's name; '%' and all else is written as %XX, as in client-go."""


class UserError(ValueError):
    """What cannot be read; one sentence without the file."""


def read(load: Callable[[], Any]) -> tuple[Any, dict[str, Mapping[str, object]]]:
    """What `load` reads, the client library's tree of a kubeconfig, and its users by name. Raises UserError."""
    try:
        config = load()
        for user in config["users"]:
            _as_client_go(user)
        return config, _with_anonymous(config)
    except (TypeError, AttributeError) as error:
        raise UserError("it is no kubeconfig; right would be a map with contexts, clusters, users") from error
    except yaml.YAMLError as error:
        raise UserError(f"it is no YAML: {' '.join(str(error).split())}") from error


def impersonation(user: Mapping[str, object]) -> list[tuple[str, str]]:
    """The headers by which a user acts as another one, one for each group and each value of an extra.

    `as`, `as-uid`, `as-groups` and `as-user-extra` are read as by client-go. Raises UserError.
    """
    headers = [*_one(user, "as", "User"), *_one(user, "as-uid", "Uid")]
    headers += [("Impersonate-Group", group) for group in _texts(user.get("as-groups"), "as-groups")]
    extra = user.get("as-user-extra") or {}
    if not isinstance(extra, Mapping):
        raise UserError("as-user-extra is no map; right would be keys, each with a list of texts")
    for key, values in extra.items():
        name = f"Impersonate-Extra-{_percent_encode(str(key))}"
        headers += [(name, value) for value in _texts(values, f"as-user-extra[{str(key)[:60]!r}]")]
    if headers and not user.get("as"):
        raise UserError(
            "as-uid, as-groups and as-user-extra are there without as; right would be to name the user, too"
        )
    return headers


def _one(user: Mapping[str, object], field: str, header: str) -> Iterator[tuple[str, str]]:
    if user.get(field):
        [value] = _texts([user[field]], field)
        yield f"Impersonate-{header}", value


def _texts(values: object, field: str) -> list[str]:
    """What may be the values of a header. Raises UserError."""
    texts = values or []
    if not isinstance(texts, list) or not all(isinstance(value, str) and value.isprintable() for value in texts):
        raise UserError(f"{field} is no text of printable signs, or no list of such; right would be quotes around each")
    return texts


def _percent_encode(key: str) -> str:
    return "".join(chr(byte) if chr(byte) in _NAME_SIGNS else f"%{byte:02X}" for byte in key.encode())


def _as_client_go(user: Any) -> None:
    """A user may be null, a username goes without a password, and a plugin's path is meant beside the file."""
    credentials = user.value["user"] = user.value.get("user") or {}
    for field in ("token", "username", "password"):
        if not isinstance(credentials.get(field) or "", str):
            raise UserError(f"user {user['name']}: {field} is no text; right would be quotes around it")
    if credentials.get("username"):
        credentials["password"] = credentials.get("password") or ""
    command = (credentials.get("exec") or {}).get("command") or ""
    if os.sep in command and not Path(command).is_absolute():
        credentials["exec"]["command"] = str(Path(user.path).parent / command)


def _with_anonymous(config: Any) -> dict[str, Mapping[str, object]]:
    """The users by name. A context without one gets an empty one, which the loader could not do without."""
    users = {str(user["name"]): user.value["user"] for user in config["users"]}
    for context in config["contexts"]:
        if context["context"].safe_get("user") not in users:
            context["context"].value["user"] = ANONYMOUS
    config["users"].value.append({"name": ANONYMOUS, "user": {}})
    return users
