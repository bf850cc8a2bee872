"""The flags of leader election."""

import pytest

from adapter.program import leader
from adapter.program.flags import Flags, SettingsError
from adapter.program.leader import LeaderSettings

FLAGS = Flags(program="sample", about="", settings=LeaderSettings, check=leader.check)


def test_defaults_are_kubernetes() -> None:
    made = FLAGS.parse([]).settings
    assert (made.leader_elect, made.lease_duration, made.renew_deadline, made.retry_period) == (False, 15, 10, 2)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        (
            "--leader-elect-renew-deadline=15s",
            "--leader-elect-lease-duration=15s must be longer than --leader-elect-renew-deadline=15s",
        ),
        (
            "--leader-elect-retry-period=10.5s",
            "--leader-elect-renew-deadline=10s must be longer than --leader-elect-retry-period=10.5s",
        ),
        (
            "--leader-elect-resource-lock=endpoints",
            "--leader-elect-resource-lock=endpoints: one of leases is wanted",
        ),
    ],
)
def test_what_would_let_two_lead_at_once_is_refused(argument: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        FLAGS.parse([argument])
    assert str(caught.value) == sentence
