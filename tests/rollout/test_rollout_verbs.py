"""What an operator reads of `streamgate-rollout`: plain words, the next command, and the exit code."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from adapter.kube.errors import Forbidden
from adapter.kube.objects import Condition, ObjectMeta
from adapter.program import verbs
from adapter.program.flags import HelpWanted
from adapter.rollout.__main__ import main
from adapter.rollout.cli.verbs import VERBS
from adapter.rollout.cli.wait import exit_code, wait
from adapter.rollout.model.policy import COMMAND, RolloutPolicy
from adapter.rollout.model.status import Outcome, Past, Phase, Revision, Status

AWAY = """{"apiVersion": "v1", "kind": "Config", "current-context": "c",
 "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
 "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}], "users": [{"name": "u", "user": {}}]}"""
OF_A_POLICY = ["status", "plan", "history", "promote", "pause", "resume", "abort", "retry", "undo", "restart"]


@pytest.fixture
def away(tmp_path: Path) -> str:
    (tmp_path / "config").write_text(AWAY)
    return f"--kubeconfig={tmp_path / 'config'}"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: Any) -> None:
    assert main([verb, "-h"]) == 0
    assert capsys.readouterr().out.startswith(f"streamgate-rollout {verb}")


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_flag_is_named(verb: str, capsys: Any) -> None:
    assert main([verb, "--bogus"]) == (3 if verb == "wait" else 2)
    assert "unknown flag --bogus" in capsys.readouterr().err


@pytest.mark.parametrize("verb", OF_A_POLICY)
def test_a_server_that_is_away_and_a_file_that_is_missing_are_one_sentence(verb: str, away: str, capsys: Any) -> None:
    assert main([verb, "web", away]) == 1
    assert main([verb, "web", "--kubeconfig=/none"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "127.0.0.1:1" in said[0]
    assert "/none" in said[1]


def test_wait_does_not_take_a_server_that_is_away_for_a_rollback(away: str, capsys: Any) -> None:
    assert main(["wait", "web", away, "--timeout=0.1"]) == 2
    out, err = capsys.readouterr()
    assert "no end within the timeout; streamgate-rollout status web" in out
    assert "asks again" in err


@pytest.mark.parametrize(
    ("changes", "now", "code"),
    [
        ({}, "a", 0),
        ({"history": (Past(Outcome.ROLLED_BACK),)}, "a", 1),
        ({"refused": "b"}, "b", 1),
        ({}, "b", None),
        ({"phase": Phase.STEPPING}, "b", None),
        ({"command": "0"}, "a", None),
        ({"observed_generation": 1}, "a", None),
        ({"conditions": (Condition(type="Refused", status="True"),)}, "b", 1),
        ({"conditions": (Condition(type="Refused", status="True"),)}, "a", 0),
    ],
    ids=[
        "promoted", "rolled back", "refused template", "not begun", "goes on", "command not heard", "edit not seen",
        "policy refused", "policy refused later",
    ],
)  # fmt: skip
def test_wait_ends_where_all_that_was_asked_for_is_over(changes: dict[str, Any], now: str, code: int | None) -> None:
    """Of a policy of generation 2 with command 1, and template a stable."""
    status = Status(observed_generation=2, phase=Phase.IDLE, command="1", stable=Revision(fingerprint="a"), history=())
    meta = ObjectMeta(name="web", generation=2, annotations={COMMAND: '{"verb": "restart", "id": "1"}'})
    policy = RolloutPolicy(metadata=meta, status=msgspec.structs.replace(status, **changes))
    assert exit_code(policy, cast(Any, SimpleNamespace(fingerprint=now))) is code


@pytest.mark.parametrize("verb", ["promote", "pause", "resume", "abort", "retry"])
def test_a_command_for_a_release_where_there_is_none_is_a_failure(
    verb: str, away: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def idle(*_: Any) -> tuple[RolloutPolicy, dict[str, Any]]:
        return RolloutPolicy(metadata=ObjectMeta(name="web")), {}

    monkeypatch.setattr("adapter.rollout.cli.cluster.policy_of", idle)
    assert main([verb, "web", away]) == 1
    said = capsys.readouterr().err
    assert ("no template was rolled back" if verb == "retry" else "no release is under way") in said
    assert ("undo" in said) == (verb == "abort")


@pytest.mark.parametrize("code", [0, 1])
def test_wait_says_how_it_ended(code: int, away: str, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.rollout.cli.cluster.with_client", lambda told, work: code)
    assert main(["wait", "web", away]) == code
    assert capsys.readouterr().out.startswith(["web: promoted", "web: not promoted"][code])


async def _nobody(*_: Any) -> None:
    return None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["wait", "nobody"], "there is no RolloutPolicy nobody in namespace default"),
        (["wait", "web", "--kubeconfig=/none"], "/none"),
        (["wait", "web", "--timeout=soon"], "--timeout"),
        (["wait"], "POLICY"),
    ],
)
def test_wait_that_cannot_tell_is_neither_an_answer_nor_a_timeout(
    given: list[str], said: str, away: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.rollout.observe.Reader.policy", _nobody)
    assert main([given[0], away, *given[1:]]) == 3
    (sentence,) = capsys.readouterr().err.splitlines()
    assert said in sentence


async def test_wait_does_not_ask_again_for_what_it_may_not_read() -> None:
    class Closed:
        async def get(self, *_: Any) -> None:
            raise Forbidden(403, "Forbidden", "ann may not get rolloutpolicies")

    with pytest.raises(Forbidden):
        await asyncio.wait_for(wait(cast(Any, Closed()), "shop", "web"), 5)


def test_an_answer_of_wait_that_cannot_be_written_is_none(away: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("adapter.rollout.cli.cluster.with_client", lambda told, work: 1)
    monkeypatch.setattr("adapter.program.tables.lines", full)
    assert main(["wait", "web", away]) == 3


def raising(error: BaseException) -> Callable[[], int]:
    def verb() -> int:
        raise error

    return verb


def test_an_interrupt_is_no_traceback() -> None:
    assert verbs.run("sample", raising(KeyboardInterrupt()), failures=()) == 130


def test_help_that_nobody_reads_any_more_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_pipe(_: Any) -> None:
        raise BrokenPipeError

    hushed: list[bool] = []
    monkeypatch.setattr("adapter.program.tables.lines", break_pipe)
    monkeypatch.setattr("adapter.program.verbs._hush", lambda: hushed.append(True))
    assert verbs.run("sample", raising(HelpWanted("help")), failures=()) == 0
    assert hushed
