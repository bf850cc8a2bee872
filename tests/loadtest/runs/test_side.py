"""Runs of one scenario side by side: the table, the sentence, and where they are written."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from loadtest.runs import side_command
from loadtest.runs.record import Kind, Run, Slice
from loadtest.runs.side_by_side import COMPARED, wake
from loadtest.runs.side_report import HEADINGS, figure, rows, sentence, tables
from tests.cluster.bed import BedError
from tests.loadtest.runs.conftest import Make, looks


@pytest.fixture
def runs(make: Make) -> dict[str, Run]:
    """One that has 4 pods 12 s after the step of 45 s, and one that never gets them."""
    quick = {kind: [(0.0, 2), (57.0, 4), (155.0, 2)] for kind in Kind}
    told = looks((44.0, 30.0, 43.0), (49.0, 70.0, 48.0), (125.5, 70.0, 125.0))
    return {"quick": make(counts=quick, looks=told), "still": make(looks=told[:1])}


def test_a_row_tells_of_the_first_rise_and_the_first_fall(runs: dict[str, Run]) -> None:
    quick, still = (dict(zip(HEADINGS, row, strict=True)) for row in rows(runs))
    assert quick["the HPA follows"] == "quick"
    assert quick["new load served after"] == "4 s"  # 49 - 45
    assert quick["HPA wants enough pods after"] == "12 s"
    assert quick["enough pods answer after"] == "12 s"
    assert quick["load gone: back after"] == "30 s"  # 155 - 125
    assert quick["too few pods for"] == "12 s"
    # (57 * 2 + 98 * 4 + 85 * 2) / 240
    assert quick["pods at a time"] == "2.82"
    assert quick["p95 latency"] == "20 ms"
    assert [still[name] for name in HEADINGS[1:4]] == ["not in the run"] * 3
    assert still["too few pods for"] == "80 s"


def test_of_requests_that_got_no_answer_no_latency_is_told(make: Make) -> None:
    silent = make(slices=[Slice(0.5, 30, 15, 0, {}, {}, unanswered=15)])
    (row,) = (dict(zip(HEADINGS, row, strict=True)) for row in rows({"silent": silent}))
    assert (row["p95 latency"], row["failed"]) == ("–", "15 of 15")


def test_the_sentence_tells_the_step_and_how_long_each_took(runs: dict[str, Run]) -> None:
    assert sentence(runs) == (
        "From 30 to 70 requests/s, at a target of 20 per pod. Enough pods answered after: 12 s (quick), not in the"
        " run (still)."
    )


def test_picture_table_and_sentence_come_where_the_marks_are(runs: dict[str, Run], tmp_path: Path) -> None:
    (tmp_path / "docs" / "img").mkdir(parents=True)
    marks = "<!-- compare-step: written by make compare-step -->\nold\n<!-- end of compare-step -->\n"
    pages = [tmp_path / "README.md", tmp_path / "docs" / "loadtest.md"]
    for page in pages:
        page.write_text(f"before\n{marks}after\n")
    side_command.write_docs(runs, "the bed", tmp_path)
    readme, document = (page.read_text() for page in pages)
    assert sentence(runs) in readme
    assert tables(runs, "the bed") in document
    assert "- world: the bed\n" in document
    assert all(
        text.startswith("before\n") and text.endswith("after\n") and "old" not in text for text in (readme, document)
    )
    assert (tmp_path / "docs" / "img" / "compare-step.png").read_bytes().startswith(b"\x89PNG")


def test_the_pages_of_this_tree_have_the_marks() -> None:
    for page in (side_command.ROOT / "README.md", side_command.ROOT / "docs" / "loadtest.md"):
        assert page.read_text().count(f"<!-- {side_command.PART}: written by {side_command.SCRIPT} -->") == 1


def test_the_picture_has_the_load_and_each_run_in_both_halves(runs: dict[str, Run]) -> None:
    rates, replicas = figure(runs).axes
    assert [line.get_label() for line in rates.lines] == ["load", "quick", "still"]
    assert [line.get_label() for line in replicas.lines] == ["quick", "still"]
    assert np.asarray(replicas.lines[0].get_ydata()).tolist() == [2, 4, 2, 2]


def test_what_is_compared_is_ours_as_it_comes_and_both_over_one_prometheus() -> None:
    assert [(one.ours, one.scrape, one.window) for one in COMPARED.values()] == [
        (True, 0, ""), (True, 15, "2m"), (False, 15, "2m"),
    ]  # fmt: skip


@contextmanager
def answering(names: Sequence[str]) -> Iterator[str]:
    """A service whose pods of these names answer in turn; its URL."""
    turns = itertools.cycle(names)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{next(turns)} v1\n".encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_pods_are_asked_until_each_of_them_has_answered() -> None:
    with answering(["a", "a", "b"]) as url:
        wake(url, 2)
        with pytest.raises(BedError, match=r"2 of 3 pods behind http://.* have answered 200 requests"):
            wake(url, 3)
