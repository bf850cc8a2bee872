"""What /readyz waits for is a beginning: nobody can bring it back afterwards, by new pods for instance."""

from functools import partial

from adapter.serve.health import Check, Readiness


def test_a_check_may_wait_until_all_have_passed_and_never_again() -> None:
    waits = {"scrapes": "2 targets were not scraped yet", "collection": "the first one is not done"}
    readiness = Readiness(*(Check(name, partial(waits.__getitem__, name)) for name in waits))
    assert readiness.waiting() == waits
    waits["scrapes"] = ""
    assert readiness.waiting() == {"scrapes": "", "collection": "the first one is not done"}
    waits["scrapes"] = "a target came"  # it has not begun yet
    assert readiness.waiting() == waits
    waits.update(scrapes="", collection="")
    assert readiness.waiting() == {"scrapes": "", "collection": ""}
    waits["scrapes"] = "40 pods came"
    assert readiness.waiting() == {"scrapes": "", "collection": ""}
