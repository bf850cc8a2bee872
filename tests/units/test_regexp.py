"""Expressions from outside: what is wrong with one is said with the expression, however long it is."""

import pytest

from adapter.units.regexp import MAX_SHOWN, RegexpError, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("(a", "'(a'"),
        ("(" + "a" * (MAX_SHOWN - 1), "'(" + "a" * (MAX_SHOWN - 1) + "'"),
        ("(" + "a" * MAX_SHOWN, "'(" + "a" * (MAX_SHOWN - 4) + "...'"),
        ("(" + "a" * 100_000, "'(" + "a" * (MAX_SHOWN - 4) + "...'"),
    ],
)
def test_an_expression_is_shown_whole_or_cut(pattern: str, shown: str) -> None:
    with pytest.raises(RegexpError) as error:
        compile_pattern(pattern, memory=1 << 20)
    assert str(error.value).startswith(f"{shown} does not compile: ")


def test_a_byte_and_what_is_no_unicode_are_refused_with_the_reason() -> None:
    for pattern, reason in (("\\C", "stands for a byte"), ("\ud800", "not valid Unicode")):
        with pytest.raises(RegexpError, match=reason):
            compile_pattern(pattern, memory=1 << 20)


def test_a_byte_that_is_quoted_is_text() -> None:
    assert compile_pattern(r"\Q\C\E", memory=1 << 20).search("a\\Cb")
