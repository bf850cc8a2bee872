"""Hypothesis strategies that several folders of tests share.

Imported as `tests.strategies`; run pytest from the top of the tree.
"""

import os

from hypothesis import strategies as st

from adapter.units.quantity import NANO, Format, Quantity
from adapter.units.requirement import Operator, Requirement
from adapter.units.selector import Selector


def examples(count: int) -> int:
    """So many examples in the suite; EXAMPLES times as many for `make properties`."""
    return count * int(os.environ.get("EXAMPLES", "1"))


LABEL_NAMES = st.from_regex(r"\A[A-Za-z0-9]([-A-Za-z0-9_.]{0,10}[A-Za-z0-9])?\Z", fullmatch=True)
"""The name part of a Kubernetes label's key."""

LABEL_KEYS = st.one_of(
    LABEL_NAMES, st.builds("{}/{}".format, st.sampled_from(["app.kubernetes.io", "a", "x-1.y"]), LABEL_NAMES)
)
LABEL_VALUES = st.one_of(st.just(""), LABEL_NAMES)

QUANTITIES = st.one_of(
    st.builds(Quantity, st.integers(-(2**63 - 1) * NANO, (2**63 - 1) * NANO), st.sampled_from(Format)),
    st.builds(Quantity, st.integers(-5000, 5000), st.sampled_from(Format)),
    st.builds(
        lambda n, k, form: Quantity(n * 1024**k * NANO, form),
        st.integers(-1023, 1023),
        st.integers(0, 5),
        st.sampled_from(Format),
    ),
)
"""Quantities around every format's edges."""


def requirements(
    keys: st.SearchStrategy[str] = LABEL_KEYS, values: st.SearchStrategy[str] = LABEL_VALUES
) -> st.SearchStrategy[Requirement]:
    """Valid requirements over `keys` and `values`."""
    lists = st.lists(values, min_size=1, max_size=4, unique=True).map(lambda v: tuple(sorted(v)))
    return st.one_of(
        st.builds(Requirement, keys, st.sampled_from([Operator.EQUALS, Operator.NOT_EQUALS]), st.tuples(values)),
        st.builds(Requirement, keys, st.sampled_from([Operator.IN, Operator.NOT_IN]), lists),
        st.builds(Requirement, keys, st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST]), st.just(())),
        st.builds(
            Requirement,
            keys,
            st.sampled_from([Operator.GREATER, Operator.LESS]),
            st.tuples(st.integers(0, 2**63 - 1).map(str)),
        ),
    )


def selectors(
    keys: st.SearchStrategy[str] = LABEL_KEYS, values: st.SearchStrategy[str] = LABEL_VALUES
) -> st.SearchStrategy[Selector]:
    """Selectors of up to four requirements."""
    return st.lists(requirements(keys, values), max_size=4).map(Selector)
