"""Each sentence is told once, and again when it was over in between."""

from structlog.testing import capture_logs

from adapter.collect.demand import CustomWant, ExternalWant, Want
from adapter.collect.reports import LONGEST, REQUESTED, SENTENCES, SPAN_S, UNSERVED, Reports
from adapter.metrics.source import Query, RefusedQuery, SourceError
from adapter.rules.resources import PODS


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


def test_three_hundred_queries_of_a_rule_that_fail_alike_are_one_line() -> None:
    reports, queries = Reports(), [Query(f'x{{path="p{number}"}}') for number in range(300)]
    with capture_logs() as lines:
        for _ in range(2):
            for query in queries:
                reports.record_failure("rules[0]", query, SourceError(f"bad selector in {query.promql}"))
        reports.record_failure("rules[0]", queries[0], RefusedQuery("many-to-many"))
        reports.record_success("rules[0]", queries[1])  # the others fail still: that is no news
        reports.record_failure("rules[0]", queries[1], SourceError("bad selector"))
    assert [line["problem"] for line in lines] == [
        'rules[0]: the query failed: bad selector in x{path="p0"}',
        "rules[0]: the query failed: many-to-many",
    ]


def test_a_failure_after_all_worked_is_news() -> None:
    reports, query = Reports(), Query("x")
    with capture_logs() as lines:
        reports.record_failure("rules[0]", query, SourceError("down"))
        reports.record_success("rules[0]", query)
        reports.record_failure("rules[0]", query, SourceError("down"))
        reports.keep([])  # nobody wants it any more
        reports.record_failure("rules[0]", query, SourceError("down"))
    assert len(lines) == 3
    assert reports._failing == {"rules[0]": {query: SourceError}}
    reports.keep([])
    assert reports._failing == {}


def test_of_a_namespace_with_hundreds_of_unknown_metrics_some_are_named() -> None:
    reports = Reports()
    wants: dict[Want, Exception] = {
        CustomWant(PODS, "shop", f"m{number}"): LookupError("no rule finds it") for number in range(300)
    }
    with capture_logs() as lines:
        for _ in range(2):
            reports.report_unserved(wants, wants)
    assert len(lines) == UNSERVED + 1
    assert lines[-1]["note"] == "in namespace shop more metrics are wanted that nothing serves"


def test_of_metrics_that_requests_make_up_some_are_named_in_all_namespaces_together() -> None:
    """500 requests for metrics in made-up namespaces were 500 lines of 1,700 characters."""
    now = [0.0]
    reports = Reports(lambda: now[0])
    made_up: dict[Want, Exception] = {
        ExternalWant(f"n{number:03}" + "y" * 1500, f"m{number}"): LookupError("no rule finds it")
        for number in range(500)
    }
    real: Want = CustomWant(PODS, "shop", "depth")
    with capture_logs() as lines:
        for number in range(1, 500, 50):  # whatever the order in which they come
            reports.report_unserved(dict(list(made_up.items())[-number:]), ())
        reports.report_unserved({**made_up, real: LookupError("no rule finds it")}, {real})
    assert len(lines) == REQUESTED + 1
    assert lines[-2]["note"].startswith("requests ask for more metrics that nothing serves")
    assert lines[-1]["note"] == "depth in namespace shop is wanted, but no rule finds it"
    now[0] = SPAN_S + 1
    with capture_logs() as lines:
        reports.report_unserved(made_up, ())
    assert 0 < len(lines) <= REQUESTED


def test_a_sentence_of_a_long_name_is_cut() -> None:
    reports = Reports()
    with capture_logs() as lines:
        reports.problem("rules[0]: " + "x" * 300_000)
        reports.note("y" * 300_000)
    assert [len(line.get("problem") or line["note"]) for line in lines] == [LONGEST, LONGEST]
