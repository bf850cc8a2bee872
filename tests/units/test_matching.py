"""A selector's requirements together mean what each of them means alone, and cost what the labels are."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from adapter.units.matching import Matcher
from adapter.units.requirement import Operator, Requirement
from adapter.units.selector import Selector

KEYS, VALUES = st.sampled_from("abcd"), st.sampled_from(["", "x", "y", "1", "2", "30", "9223372036854775808"])
REQUIREMENTS = st.one_of(
    st.builds(Requirement, KEYS, st.sampled_from([Operator.EQUALS, Operator.NOT_EQUALS]), st.tuples(VALUES)),
    st.builds(Requirement, KEYS, st.sampled_from([Operator.GREATER, Operator.LESS]), st.tuples(VALUES)),
    st.builds(Requirement, KEYS, st.sampled_from([Operator.IN, Operator.NOT_IN]), st.tuples(VALUES, VALUES)),
    st.builds(Requirement, KEYS, st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST])),
)


@given(st.lists(REQUIREMENTS, max_size=6), st.dictionaries(KEYS, VALUES))
def test_all_together_are_each_of_them(requirements: list[Requirement], labels: dict[str, str]) -> None:
    expected = all(requirement.matches(labels) for requirement in requirements)
    assert Selector(requirements).matches(labels) == expected


class Counted(dict[str, str]):
    """Labels that count how often they are looked at."""

    looks = 0

    def __getitem__(self, key: str) -> str:
        self.looks += 1
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.looks += 1
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self.looks += len(self)
        return super().__iter__()


def test_thousands_of_requirements_look_at_each_label_a_few_times() -> None:
    labels = Counted({f"label-{number}": "x" for number in range(10)})
    for written in ("!{}", "{}!=x", "{} notin (x,y)", "{}", "{}=x", "{}>5"):
        selector = Selector.parse(",".join(written.format(f"k{number}") for number in range(3_000)))
        labels.looks = 0
        assert selector.matches(labels) == written.startswith(("!", "{}!", "{} notin"))
        assert labels.looks <= 4 * len(labels)


def test_its_weight_is_that_of_its_texts() -> None:
    assert Selector.parse("app=web,tier in (a,bc)").weight == 3 + 3 + 1 + 4 + 3 + 1
    assert Matcher(()).matches({})
