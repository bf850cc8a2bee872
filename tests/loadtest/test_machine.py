"""How busy the processors were, from /proc/stat."""

from pathlib import Path

from loadtest.machine import Ticks, _place, busy, parse, weigh

TEXT = """cpu  100 5 50 800 20 1 4 20 7 0
cpu0 50 2 25 400 10 0 2 10 3 0
"""


def test_ticks_are_those_of_all_processors_and_guests_count_once() -> None:
    # 100 + 5 + 50 + 800 + 20 + 1 + 4 + 20: the guest's 7 are within the user's 100
    assert parse(TEXT) == Ticks(total=1000, idle=820, stolen=20)


def test_what_is_not_idle_is_busy() -> None:
    assert busy(Ticks(1000, 820, 20), Ticks(1200, 870, 20)) == 0.75  # 50 of 200 idle
    assert busy(Ticks(1000, 820, 20), Ticks(1000, 820, 20)) == 0


def test_the_cgroup_of_the_cpu_controller_is_found_in_both_versions() -> None:
    assert _place("9:name=systemd:/a\n3:cpu,cpuacct:/b:c\n0::/d\n") == "/b:c"
    assert _place("3:cpuset:/b\n0::/d\n") == "/d"
    assert _place("3:cpuset:/b\n") == "/"


def test_only_files_that_the_cgroup_has_are_written(tmp_path: Path) -> None:
    (tmp_path / "cpu.shares").write_text("1024")
    weigh(tmp_path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("cpu.shares", "10240")]
    weigh(tmp_path / "absent")
