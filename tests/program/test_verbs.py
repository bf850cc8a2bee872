"""Verbs: operands among flags, letters, and one sentence for whatever is wrong."""

import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.program import tables, verbs
from adapter.program.flags import Common, Flags, HelpWanted, SettingsError, operand, setting
from adapter.program.kinds import PlainSeconds


@dataclass(frozen=True)
class Copy(Common):
    """A verb with two operands."""

    source: str = operand("SOURCE", "what is read")
    target: str = operand("TARGET", "what is written")
    namespace: str = setting("namespace", "", "where", short="n")
    watch: bool = setting("watch", False, "again and again", short="w")
    timeout: PlainSeconds = setting("timeout", PlainSeconds(60), "for how long", least=0)


FLAGS = Flags(program="sample copy", about="copies", settings=Copy, version="1.2")


def parse(*arguments: str) -> tuple[str, str, str, bool]:
    told = FLAGS.parse(arguments).settings
    return told.source, told.target, told.namespace, told.watch


@pytest.mark.parametrize(
    "arguments",
    [
        ["a", "b", "-n", "shop", "-w"],
        ["-n=shop", "a", "-w=true", "b"],
        ["-nshop", "--watch", "a", "b"],
        ["--namespace", "shop", "-w", "--", "a", "b"],
        ["a", "-namespace=shop", "-watch", "--", "b"],
        ["-n", "yard", "a", "b", "-n", "shop", "--watch=1"],
    ],
)
def test_operands_stand_anywhere_among_flags_and_letters_stand_for_them(arguments: list[str]) -> None:
    assert parse(*arguments) == ("a", "b", "shop", True)


def test_a_hyphen_is_stdin_and_behind_two_hyphens_anything_is_an_operand() -> None:
    assert parse("-", "--", "-w")[:2] == ("-", "-w")
    assert parse("--", "--", "-n")[:2] == ("--", "-n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "SOURCE is missing: what is read"),
        (["a"], "TARGET is missing: what is written"),
        (["a", "b", "c"], "'c' is too much: besides flags only SOURCE TARGET is taken"),
        (
            ["a", "b", "--watch", "false"],
            "'false' is too much: besides flags only SOURCE TARGET is taken; "
            "a value of --watch is given as --watch=false",
        ),
        (["a", "b", "--nope"], "unknown flag --nope; --help lists the flags"),
        (["a", "b", "--n=x"], "unknown flag --n; --help lists the flags"),
        (["a", "b", "-x"], "unknown flag -x; --help lists the flags"),
        (["-5", "b"], "'-5' is no flag; flags look like --name=value"),
        (["a", "b", "-n"], "--namespace needs a value"),
        (["a", "b", "--timeout=soon"], "--timeout=soon: a duration like 1h30m, 90s or 1.5s is wanted"),
        (["a", "b", "--timeout=-1s"], "--timeout=-1s: 0s or more is wanted"),
    ],
)
def test_a_wrong_argument_gets_one_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        FLAGS.parse(arguments)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("20", 20), ("0.2", 0.2), ("1.5s", 1.5), ("0", 0)])
def test_a_bare_number_of_seconds_is_a_duration_where_that_is_said(text: str, seconds: float) -> None:
    assert FLAGS.parse(["a", "b", f"--timeout={text}"]).settings.timeout == seconds


def test_help_shows_operands_and_letters() -> None:
    with pytest.raises(HelpWanted) as caught:
        FLAGS.parse(["-h"])
    lines = str(caught.value).splitlines()
    assert lines[:4] == ["sample copy SOURCE TARGET: copies", "", "  SOURCE", "        what is read"]
    assert "  -n, --namespace (none)" in lines


WORDS = st.sampled_from(["a", "-", "--", "-n", "-nx", "-w", "--watch", "--timeout", "5", "-5", ""])


@given(st.lists(WORDS, max_size=6))
def test_any_words_give_settings_or_the_one_error(words: list[str]) -> None:
    try:
        told = FLAGS.parse(words).settings
    except SettingsError:
        return
    assert {told.source, told.target} <= {*words}


# ---- what becomes of a verb


class WorkError(Exception):
    """What this program's verbs raise."""


def ends(error: BaseException | None, code: int = 0) -> int:
    def verb() -> int:
        if error is not None:
            raise error
        return code

    return verbs.run("sample", verb, failures=(WorkError,))


@pytest.mark.parametrize(
    ("error", "code", "out", "err"),
    [
        (None, 3, "", ""),
        (HelpWanted("help"), 0, "help\n", ""),
        (SettingsError("no such flag"), 2, "", "sample: no such flag\n"),
        (WorkError("no such file"), 1, "", "sample: no such file\n"),
        (OSError("no space is left"), 1, "", "sample: cannot be written: no space is left\n"),
    ],
)
def test_an_error_is_a_sentence_and_a_code(
    error: Exception | None, code: int, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(error, code=3) == code
    assert capsys.readouterr() == (out, err)


def test_another_error_is_a_fault_and_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        ends(ZeroDivisionError())


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Standard output is a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    out = io.TextIOWrapper(os.fdopen(writing, "wb"), write_through=False)
    monkeypatch.setattr(sys, "stdout", out)
    yield out
    out.close()


def test_a_reader_that_is_gone_ends_a_verb_in_silence(pipe: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def verb() -> int:
        tables.lines(["much"])
        return 0

    assert verbs.run("sample", verb, failures=()) == 0
    pipe.flush()  # what is left goes nowhere, and raises nothing
    assert capsys.readouterr().err == ""


def test_a_word_that_is_no_verb_is_named_with_those_that_are() -> None:
    assert str(verbs.unknown_verb_error("sing", ["go", "stay"])) == "'sing' is no verb; one of go, stay is wanted"
    assert str(verbs.unknown_verb_error("", ["go", "stay"])) == "a verb is missing; one of go, stay is wanted"
    assert len(str(verbs.unknown_verb_error("x" * 10_000, ["go"]))) < 120
