"""Whether a file is still the one that was read."""

import os
from pathlib import Path

from adapter.files import identity


def test_a_file_that_nobody_touches_stays_the_same(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a")
    assert identity(file) == identity(file)


def test_new_content_is_another_file_also_where_the_time_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a")
    before, times = identity(file), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_text("ab")
    os.utime(file, ns=times)
    assert identity(file) != before


def test_a_link_that_is_moved_as_in_a_mounted_secret_is_another_file(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_text("a")
    link, fresh = tmp_path / "token", tmp_path / "fresh"
    link.symlink_to(tmp_path / "first")
    before = identity(link)
    fresh.symlink_to(tmp_path / "second")
    fresh.replace(link)
    assert identity(link) != before


def test_a_file_that_goes_and_comes_changes_twice(tmp_path: Path) -> None:
    file = tmp_path / "token"
    gone = identity(file)
    file.write_text("a")
    assert gone == (None,)
    assert identity(file, tmp_path / "other") == (*identity(file), None)
