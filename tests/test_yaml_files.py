"""Every YAML file that a program reads: one sentence or what it says, and never a crash or a freeze."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adapter.kube.documents import DocumentError, read_objects
from adapter.rollout.documents import policy_of
from adapter.rollout.foreign.read import read as read_foreign
from adapter.rules.config import load
from adapter.rules.document import RulesError
from adapter.units.manifest import ManifestError
from adapter.units.yamltext import YamlError, check_nesting
from recommender.input.usage_file import UsageError
from recommender.offline.checkpoint_files import read_checkpoints


def rules(file: Path) -> object:
    return load(file.read_text(), str(file))


def policy(file: Path) -> object:
    return policy_of(file.read_bytes(), str(file))


def foreign(file: Path) -> object:
    return read_foreign(file.read_bytes(), str(file))


def checkpoints(file: Path) -> object:
    return read_checkpoints(file, 0.0)


READERS: dict[str, Callable[[Path], object]] = {
    "rules": rules, "standalone": read_objects, "policy": policy, "import": foreign, "checkpoints": checkpoints,
}  # fmt: skip
TWENTY = ",".join(["*{}"] * 20)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{TWENTY.replace('{}', chr(97 + n))}]}}\n" for n in range(12)
)
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{TWENTY.replace('{}', chr(97 + n))}]\n" for n in range(12)
)
POD = "kind: Pod\nmetadata: {{name: a, {}}}\n"
NO_FILE = {
    "brackets": "[" * 200_000,
    "braces": "{a: " * 200_000,
    "braces below a key": "rules: " + "{a: " * 200_000,
    "a block of lists": "- " * 200_000 + "a",
    "a block of mappings": "".join(" " * depth + "a:\n" for depth in range(1000)),
    "an anchor in itself": "rules: &a\n- *a\n",
    "a merge of itself": "a: &a {<<: *a}\n",
    "merges of merges": MERGES,
    "aliases of aliases": LAUGHS,
    "a merge of a number": "<<: 1e400\n",
    "half a pair of surrogates": 'rules:\n- seriesQuery: "\\uD800"\n',
    "a tag of Python": "a: !!python/object:os.system {}\n",
    "control characters": "a: \x00\n",
    "a wrong indent": "a:\n  b: 1\n c: 2\n",
}
TAGS = {
    "no float": POD.format("uid: !!float x"),
    "no integer": POD.format("uid: !!int ''"),
    "no binary integer": POD.format("generation: 0b_"),
    "no boolean": POD.format("uid: !!bool x"),
    "a long integer": POD.format("generation: " + "9" * 5000),
    "an infinity": POD.format("generation: 1e400"),
    "a list as a key": "? [a]\n: b\n",
    "a key that is there twice": "kind: Pod\nkind: Pod\n",
    "items that are none": "kind: List\nitems: 3\n",
    "items that are missing": "kind: List\n",
    "a kind that is a list": "kind: [a]\n",
}


@pytest.mark.parametrize("read", READERS.values(), ids=list(READERS))
@pytest.mark.parametrize("text", NO_FILE.values(), ids=list(NO_FILE))
def test_a_file_that_nests_repeats_or_merges_without_end_is_one_sentence(
    tmp_path: Path, read: Callable[[Path], object], text: str
) -> None:
    assert_refused(tmp_path, read, text)


@pytest.mark.parametrize("read", [read_objects, checkpoints], ids=["standalone", "checkpoints"])
@pytest.mark.parametrize("text", TAGS.values(), ids=list(TAGS))
def test_a_value_that_is_not_what_it_says_is_one_sentence(
    tmp_path: Path, read: Callable[[Path], object], text: str
) -> None:
    assert_refused(tmp_path, read, text)


def assert_refused(folder: Path, read: Callable[[Path], object], text: str) -> None:
    file = folder / "file.yaml"
    file.write_text(text)
    with pytest.raises((RulesError, DocumentError, ManifestError, UsageError)) as error:
        read(file)
    sentence = str(error.value)
    assert sentence.startswith(str(file))
    assert len(sentence) < 700
    if "this is no YAML" not in sentence and read is not checkpoints:
        assert "\n" not in sentence


@pytest.mark.parametrize("date", ["2024-99-99", "2024-02-30T99:99:99Z", "!!timestamp x"])
def test_a_date_is_a_text_until_its_field_is_read(tmp_path: Path, date: str) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(POD.format(f"uid: {date}"))
    [pod], _ = read_objects(file)
    assert pod.metadata.uid == date.split()[-1]
    file.write_text(POD.format(f"creationTimestamp: {date}"))
    with pytest.raises(DocumentError, match=r"document 1 \(Pod\): .*creationTimestamp"):
        read_objects(file)


def test_merges_work_where_they_are_few(tmp_path: Path) -> None:
    """What is written counts before what is merged, and of what is merged the first."""
    file = tmp_path / "pods.yaml"
    anchors = "x: [&a {name: one, uid: a}, &b {uid: b, namespace: b}]"
    file.write_text(f"kind: Pod\n{anchors}\nmetadata: {{<<: [*a, *b], name: two}}\n---\n")
    [pod], hpas = read_objects(file)
    assert (pod.metadata.name, pod.metadata.uid, pod.metadata.namespace, hpas) == ("two", "a", "b", [])
    loaded = load("rules:\n- &a {seriesQuery: a, metricsQuery: 'b'}\n- {<<: *a, metricsQuery: c}\n", "rules")
    assert len(loaded.custom or ()) == 2


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000, "99999999999999999999", "1e400 | printf `%d`"])
def test_a_number_of_a_template_that_go_has_not_is_one_sentence(number: str) -> None:
    rules = load(
        f"rules:\n- seriesQuery: a\n  metricsQuery: 'sum(<<{number}>>)'\n- {{seriesQuery: a, metricsQuery: b}}\n", "c"
    )
    [problem] = rules.problems
    assert "rules[0].metricsQuery" in problem
    assert "cannot be read" in problem
    assert len(rules.custom or ()) == 1


@pytest.mark.parametrize("text", [r'"\ud800"', r"'\udfff'"])
def test_half_a_pair_of_surrogates_is_no_text_of_a_template(text: str) -> None:
    quoted = text.replace("'", "''")
    [problem] = load(f"rules:\n- seriesQuery: a\n  metricsQuery: 'sum(<<{quoted}>>)'\n", "c").problems
    assert "cannot be read" in problem


def test_nesting_is_counted_in_flows_and_blocks_alike() -> None:
    for text in ("[[[a]]]", "- - - a", "a:\n b:\n  c: d", "{a: [{b: c}]}", "&x [[[*x]]]"):
        check_nesting(text, 3)
        with pytest.raises(YamlError, match="more than 2 levels deep"):
            check_nesting(text, 2)


def test_a_merge_key_is_refused_where_none_may_be_and_nothing_else_is() -> None:
    for text in ("a: {b: c}", "a: '<<'", '"<<": b'):
        check_nesting(text, 3, merges=False)
    with pytest.raises(YamlError, match="it has a merge key"):
        check_nesting("a: &a {b: c}\nd: {<<: *a}", 3, merges=False)
