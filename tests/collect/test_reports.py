"""Each sentence is told once, and again when it was over in between."""

from structlog.testing import capture_logs

from adapter.collect.reports import SENTENCES, Reports


def test_a_lasting_problem_is_one_line_and_one_that_comes_back_is_another() -> None:
    reports = Reports()
    with capture_logs() as lines:
        reports.problems(["rules[0]: it fails"] * 3)
        reports.over("rules[0]: it fails")
        reports.problem("rules[0]: it fails")
        reports.note("nobody serves it")
        reports.note("nobody serves it")
    assert [(line["log_level"], line.get("problem") or line.get("note")) for line in lines] == [
        ("warning", "rules[0]: it fails"),
        ("warning", "rules[0]: it fails"),
        ("info", "nobody serves it"),
    ]


def test_what_is_remembered_is_bounded() -> None:
    reports = Reports()
    with capture_logs() as lines:
        reports.note("the first")
        reports.problems(str(number) for number in range(SENTENCES))
        reports.note("the first")
    assert [line["note"] for line in lines if "note" in line] == ["the first", "the first"]
