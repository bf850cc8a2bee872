"""Usage files: what is read, what is named as bad, what is refused."""

import gzip
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.input import usage_file as usage_module
from recommender.input.usage_file import UsageError, read_requests, read_usage
from recommender.model.containers import MISSING

HEADER = "container,epoch_s,cpu_millicores,memory_bytes\n"


@pytest.fixture
def usage_file(tmp_path: Path) -> Callable[..., Any]:
    def write(text: bytes | str, name: str = "usage.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_rows_are_read_with_empty_samples_and_any_order_of_columns(usage_file: Callable[..., Any]) -> None:
    path = usage_file("memory_bytes,container,cpu_millicores,epoch_s,more\n100,b,,60,x\n,a,5,120,y\n")
    usage = read_usage([path])
    assert usage.names == ["a", "b"]
    assert usage.container.tolist() == [1, 0]
    assert usage.cpu.tolist() == [MISSING, 5]
    assert usage.memory.tolist() == [100, MISSING]
    assert usage.oom.tolist() == [MISSING, MISSING]


def test_a_packed_file_is_known_by_its_content_not_by_its_name(usage_file: Callable[..., Any]) -> None:
    path = usage_file(gzip.compress((HEADER + "a,60,1,2\n").encode()), "usage.csv")
    assert read_usage([path]).time.tolist() == [60.0]


def test_fractions_are_rounded_up_as_quantities_are(usage_file: Callable[..., Any]) -> None:
    assert read_usage([usage_file(HEADER + "a,60,0.2,1e3\n")]).cpu.tolist() == [1]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("a,60,nan,1", "cpu_millicores 'nan' is not finite"),
        ("a,60,1,-1", "memory_bytes '-1' is not in 0 to"),
        ("a,60,1,1e15", "memory_bytes '1e15' is not in 0 to"),
        ("a,60,many,1", "cpu_millicores 'many' is not a number"),
        ("a,60,1_0,1", "cpu_millicores '1_0' is not a number"),
        ("a,60,1.5\0,1", "cpu_millicores '1.5\\x00' is not a number"),
        ("a,inf,1,1", "epoch_s 'inf' is not finite"),
        ("a,1372629804000,1,1", "Unix seconds are wanted"),
        ("a,60", "2 cells, at least 3 are wanted"),
        (",60,1,1", "container '' is no name"),
    ],
)
def test_a_bad_row_is_named_by_line_and_the_rest_is_used(usage_file: Callable[..., Any], row: str, why: str) -> None:
    usage = read_usage([usage_file(f"{HEADER}a,0,1,1\n{row}\na,120,2,2\n")])
    assert usage.time.tolist() == [0.0, 120.0]
    assert usage.problems.count == 1
    assert ", line 3: " in usage.problems.named[0]
    assert why in usage.problems.named[0]


def test_bytes_that_are_no_text_make_a_bad_name_not_a_crash(usage_file: Callable[..., Any]) -> None:
    usage = read_usage([usage_file(HEADER.encode() + b"a,0,1,1\n\xff\xfe,60,1,1\n")])
    assert usage.problems.count == 1


def test_many_bad_rows_are_counted_and_only_the_first_are_named(usage_file: Callable[..., Any]) -> None:
    usage = read_usage([usage_file(HEADER + "a,0,1,1\n" + "a,x,1,1\n" * 100)])
    assert usage.problems.count == 100
    assert len(usage.problems.named) == 20


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the file is empty"),
        (HEADER, "no usable row"),
        (HEADER + "a,x,1,1\n", "the first bad row: "),
        ("container,time,cpu,memory\na,1,1,1\n", r"no column epoch_s, cpu_millicores, memory_bytes"),
        (b"\x1f\x8b\x08broken", "cannot be read"),
        (gzip.compress((HEADER + "a,60,1,2\n" * 1000).encode())[:-20], "cannot be read"),
    ],
)
def test_a_file_without_any_use_is_refused_with_its_cause(
    usage_file: Callable[..., Any], text: bytes | str, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        read_usage([usage_file(text)])


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.csv: cannot be read"):
        read_usage([tmp_path / "absent.csv"])


def test_several_files_continue_each_other(usage_file: Callable[..., Any]) -> None:
    usage = read_usage([usage_file(HEADER + "a,0,1,1\n", "1.csv"), usage_file(HEADER + "b,0,1,1\na,60,2,2\n", "2.csv")])
    assert usage.names == ["a", "b"]
    assert usage.group_by_container(by_time=False).cpu.tolist() == [1, 2, 1]


def test_order_in_a_container_is_the_files_or_times(usage_file: Callable[..., Any]) -> None:
    usage = read_usage([usage_file(HEADER + "b,50,1,1\na,9,2,2\nb,40,3,3\na,8,4,4\n")])
    assert usage.group_by_container(by_time=False).cpu.tolist() == [2, 4, 1, 3]
    assert usage.group_by_container(by_time=True).cpu.tolist() == [4, 2, 3, 1]


def test_requests_are_read_and_bad_rows_named(usage_file: Callable[..., Any]) -> None:
    requests, problems = read_requests(usage_file("container,cpu_millicores,memory_bytes\na,100,5\nb,x,1\n"))
    assert requests == {"a": (100, 5)}
    assert "line 3" in problems.named[0]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_after_the_header_give_rows_or_problems_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "usage.csv"
    path.write_bytes(HEADER.encode() + b"a,0,1,1\n" + tail)
    usage = read_usage([path])
    assert np.isfinite(usage.time).all()
    assert (usage.cpu >= MISSING).all()
    assert (usage.memory <= 10**14).all()


def test_a_pipe_is_as_good_as_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for content in (f"{HEADER}a,60,1,2\n".encode(), gzip.compress(f"{HEADER}a,60,1,2\n".encode())):
        writer = threading.Thread(target=pipe.write_bytes, args=(content,))
        writer.start()
        assert read_usage([pipe]).time.tolist() == [60.0]
        writer.join()


def test_a_packed_file_with_damage_inside_is_refused(usage_file: Callable[..., Any]) -> None:
    rows = "".join(f"a,{60 * k},{k * 7919 % 100},{k}\n" for k in range(5000))
    packed = bytearray(gzip.compress((HEADER + rows).encode()))
    packed[2000:2050] = bytes(byte ^ 0xFF for byte in packed[2000:2050])
    with pytest.raises(UsageError, match="cannot be read"):
        read_usage([usage_file(bytes(packed))])


def test_a_carriage_return_inside_a_quoted_row_makes_a_bad_row(usage_file: Callable[..., Any]) -> None:
    usage = read_usage([usage_file(HEADER + '"a"\rb,60,1,5\n"c,d",60,1,5\n')])
    assert (usage.names, usage.problems.count) == (["c,d"], 1)


def test_a_column_that_is_there_twice_is_refused(usage_file: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="line 1: column cpu_millicores is there twice"):
        read_usage([usage_file("container,epoch_s,cpu_millicores,cpu_millicores,memory_bytes\na,60,1,9,5\n")])


def test_a_small_packed_file_cannot_unfold_without_end(
    usage_file: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_module, "MAX_ROWS", 1000)
    for line in ("\n", "a,x,1,1\n", "a,60,1,1\n"):
        with pytest.raises(UsageError, match="more than 1000 lines"):
            read_usage([usage_file(gzip.compress((HEADER + line * 2000).encode()))])
    monkeypatch.setattr(usage_module, "MAX_OF_ONE", 10)
    with pytest.raises(UsageError, match="container 'a' has 11 rows; at most 10 are possible"):
        read_usage([usage_file(HEADER + "b,60,1,1\n" + "a,60,1,1\n" * 11)])
