"""What a Deployment's pods are started with, as Go's flags are written, and what is mounted where a flag points to."""

from typing import Any

import pytest

from adapter.doctor.objects import Deployment
from adapter.doctor.pods import find_volume, flag, is_set
from tests.doctor.conftest import decode_as, deployment_json


def deployment_with(*args: str, **more: Any) -> Deployment:
    return decode_as(Deployment, deployment_json("adapter", *args, **more))


@pytest.mark.parametrize(
    ("args", "value"),
    [
        (("--config=/a",), "/a"),
        (("-config=/a",), "/a"),
        (("--config", "/a"), "/a"),
        (("--config=/a", "--config=/b"), "/b"),
        (("--config", "--v=2"), "true"),
        (("--config",), "true"),
        (("--config=",), ""),
        (("--configs=/a", "config=/b"), None),
        ((), None),
    ],
)
def test_a_flag_is_read_in_every_spelling(args: tuple[str, ...], value: str | None) -> None:
    assert flag(deployment_with(*args), "config") == value


def test_underscores_are_hyphens() -> None:
    assert flag(deployment_with("--tls_cert_file=/a"), "tls-cert-file") == "/a"


@pytest.mark.parametrize(
    ("args", "value"), [(("--leader-elect",), True), (("--leader-elect=false",), False), ((), False)]
)
def test_a_switch_is_on_or_off(args: tuple[str, ...], value: bool) -> None:
    assert is_set(deployment_with(*args), "leader-elect") is value


def test_a_file_comes_from_the_volume_that_is_mounted_in_its_folder() -> None:
    held = deployment_with(secret="adapter-tls", rules="rules")
    (volume, key) = find_volume(held, "/tls/tls.crt")
    assert (volume.secret.secret_name, key) == ("adapter-tls", "tls.crt")
    (volume, key) = find_volume(held, "/etc/adapter/config.yaml")
    assert (volume.config_map.name, key) == ("rules", "config.yaml")
    assert find_volume(held, "/elsewhere/config.yaml") is None
    assert find_volume(deployment_with(), "/tls/tls.crt") is None
