"""The users of a kubeconfig, as client-go reads them: what the loader of the client library leaves out or mistakes."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

ANONYMOUS = "streamgate:anonymous"


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


def impersonation(user: Mapping[str, object]) -> dict[str, str]:
    """The headers by which a user acts as another one (`as`, `as-uid`, `as-groups`). Raises UserError."""
    groups = user.get("as-groups") or []
    if user.get("as-user-extra") or not isinstance(groups, list) or len(groups) > 1:
        raise UserError("as-user-extra and several as-groups are not understood; right would be one of as-groups")
    asked = {
        "Impersonate-User": user.get("as"),
        "Impersonate-Uid": user.get("as-uid"),
        "Impersonate-Group": groups[0] if groups else None,
    }
    return {header: str(value) for header, value in asked.items() if value}


def _as_client_go(user: Any) -> None:
    """A user may be null, a username goes without a password, and a plugin's path is meant beside the file."""
    found = user.value["user"] = user.value.get("user") or {}
    for field in ("token", "username", "password"):
        if not isinstance(found.get(field) or "", str):
            raise UserError(f"user {user['name']}: {field} is no text; right would be quotes around it")
    if found.get("username"):
        found["password"] = found.get("password") or ""
    command = (found.get("exec") or {}).get("command") or ""
    if os.sep in command and not Path(command).is_absolute():
        found["exec"]["command"] = str(Path(user.path).parent / command)


def _with_anonymous(config: Any) -> dict[str, Mapping[str, object]]:
    """The users by name. A context without one gets an empty one, which the loader could not do without."""
    users = {str(user["name"]): user.value["user"] for user in config["users"]}
    for context in config["contexts"]:
        if context["context"].safe_get("user") not in users:
            context["context"].value["user"] = ANONYMOUS
    config["users"].value.append({"name": ANONYMOUS, "user": {}})
    return users
