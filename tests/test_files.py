"""Files are read within bounds, whatever a name means, and it is seen when they change."""

import os
import re
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

import adapter
from adapter.files import MOST_PEM, FileError, identity, load_pair, read
from tests.awkward import AWKWARD, Make


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


@pytest.mark.parametrize(("make", "said"), AWKWARD)
def test_what_is_no_file_or_too_large_is_one_sentence_at_once(tmp_path: Path, make: Make, said: str) -> None:
    named = make(tmp_path)
    with pytest.raises(FileError) as raised:
        read(named, MOST_PEM)
    assert str(raised.value) == f"{named}: {said}".replace("MOST", "4 MiB")


def test_the_largest_file_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 1024)
    assert read(file, 1024) == b"x" * 1024
    with pytest.raises(FileError, match="it has more than 1023 bytes"):
        read(file, 1023)


def test_a_file_whose_size_the_system_does_not_tell_is_read_and_bounded() -> None:
    assert Path("/proc/self/status").stat().st_size == 0
    assert read("/proc/self/status", 64 << 10).startswith(b"Name:")
    with pytest.raises(FileError, match="it has more than 10 bytes"):
        read("/proc/self/status", 10)


def test_a_pipe_is_read_to_its_end_where_a_person_may_give_one(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"rules: []")
    with pytest.raises(FileError, match=r"it gave nothing within 0\.01 s; a file would be right"):
        read(f"/dev/fd/{reader}", 1024, pipe_s=0.01)
    os.write(writer, b"rules: []")
    os.close(writer)
    assert read(f"/dev/fd/{reader}", 1024, pipe_s=60.0) == b"rules: []"
    os.close(reader)


def test_a_pipe_that_never_ends_is_read_no_further_than_allowed(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x" * 1025)
    with pytest.raises(FileError, match="it has more than 1 KiB"):
        read(f"/dev/fd/{reader}", 1024, pipe_s=60.0)
    os.close(writer)
    os.close(reader)


def test_a_key_with_a_password_is_a_sentence_and_no_question(tmp_path: Path) -> None:
    pair = trustme.CA().issue_cert("a.example")
    key = load_pem_private_key(pair.private_key_pem.bytes(), None)
    (tmp_path / "key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    (tmp_path / "certificate").write_bytes(pair.cert_chain_pems[0].bytes())
    with pytest.raises(FileError, match="key: its key wants a password; a key without one would be right"):
        load_pair(ssl.create_default_context(), tmp_path / "certificate", tmp_path / "key")


ELSEWHERE = {
    "adapter/files.py",  # the one reader, and what it looks at for OpenSSL
    "adapter/console/serve.py",  # files of our own package
    "adapter/program/verbs.py",  # /dev/null
    "adapter/serve/authority.py",  # writes
    "adapter/serve/certs.py",  # writes
    "adapter/serve/tls.py",  # a certificate in memory
    "adapter/rollout/cli/files.py",  # files of a person's verb: streams, read within bounds, pipes too
    "recommender/input/usage_file.py",  # likewise
    "recommender/offline/backtest_command.py",  # writes
    "adapter/metrics/prometheus/identity.py",  # OpenSSL's files, after check_pem
    "adapter/metrics/scrape/kubelet.py",  # likewise, by whoever calls it
    "adapter/kube/config.py",  # likewise
}


def test_no_other_module_opens_a_file_that_somebody_names() -> None:
    """A new one reads by `adapter.files`, or belongs on the list with its reason."""
    opens = re.compile(r"\.read_text\(\)|\.read_bytes\(\)|\bopen\(|load_verify_locations\(|load_cert_chain\(|cafile=")
    root = Path(adapter.__file__).parent.parent
    sources = [file for room in ("adapter", "recommender") for file in sorted((root / room).rglob("*.py"))]
    openers = {str(file.relative_to(root)) for file in sources if opens.search(file.read_text())}
    assert {file for file in openers if not file.startswith("adapter/kube/fake/")} == ELSEWHERE
