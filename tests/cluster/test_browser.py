"""The console in a real browser, Debian's chromium: no cluster, but a package that `make test` does without."""

import sys
from pathlib import Path

from tests.cluster.packages import ensure
from tests.cluster.processes import run


def test_the_console_is_drawn_and_no_script_that_is_a_name_in_the_cluster_runs(tmp_path: Path) -> None:
    """At 1,400 and at 360 px, after pages on which every name is a script."""
    browser = str(ensure(["chromium"])["chromium"])
    program = [sys.executable, "-m", "loadtest.console_pictures", f"--browser={browser}", f"--into={tmp_path}"]
    told = run(program, seconds=300)
    assert told.count("no script from the cluster ran") == 3
    widths = {file.name: int.from_bytes(file.read_bytes()[16:20]) for file in tmp_path.iterdir()}
    assert len(widths) == 5
    assert all(width == (360 if "360" in name else 1400) for name, width in widths.items()), widths
