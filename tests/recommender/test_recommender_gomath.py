"""2^x and x^y are Go's, bit by bit, whatever processor runs it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.model.gomath import exp2, power

EXP2 = (
    (0x3FFEE5C8A0CE5129, 0x400E81F5E38CEE43),
    (0x4054FD5B125713EE, 0x452F18B8D6BDECA0),
    (0x4044385396C62808, 0x4275B4D8F5BDFEEA),
    (0xBFE2A917BFFF329E, 0x3FE55C3B71DB1431),
    (0xC0400BE2E26E8358, 0x3DEE0151EA7F78BF),
    (0xC0585D5650828BA3, 0x39D74A1BA28F996E),
    (0xBFC514F20D084E68, 0x3FEC8C3077B744B3),
    (0x3FF28DD7CC6BB5AA, 0x4001DF3BC0974500),
    (0x4051C976A8BC9B76, 0x4461BA1553B5D242),
    (0xBFF47A9113FC4253, 0x3FDA5B371F067AB8),
    (0x4043F5D5475E94F4, 0x426E492C70AEA7BC),
    (0x40530D724C57AB7A, 0x44B282208F121C06),
    (0xBFF7AC69D8D56EEE, 0x3FD6F3232A99E2E7),
    (0x4056A80E0B492532, 0x4598B0A65D823E90),
    (0x4019AB9A5BC7DEA0, 0x40555EF868114409),
    (0xBFDEDD2095D5ABA0, 0x3FE6E8577C01D6B0),
    (0x4046025B0A2A4190, 0x42B03495867183FE),
    (0xC03014DDB13357AC, 0x3EEE3E024576EDAD),
    (0x3FE70DF9453E3614, 0x3FFA5CFD4A3CF231),
    (0xC02F39D73643F660, 0x3EF4EC553F15BC80),
    (0x40568F8635701D1C, 0x4592EDF57A0512DC),
    (0x401BC7C3518A6DFC, 0x405ECE043B13FCE6),
    (0x40502011F8DB329A, 0x43F6A50655F8CA79),
    (0xC0208A29F6B7AD68, 0x3F6A8A7C4906A204),
)
"""x and math.Exp2(x) of Go 1.26 on amd64, as the bits of their numbers; numpy 2's own exp2 has one of ten otherwise."""


POW = (
    (0x4078327621071927, 0x3EDBFB9F828686B5),
    (0x3FF1EA957939E821, 0x3FE985473EFDE43C),
    (0x3FFC34118B76A723, 0x3FD498FE359920E9),
    (0x3FF0003AD0C4F4CD, 0x3FEFFF14C1FD4D46),
    (0x406326E297C340CE, 0x3F065580C6868149),
    (0x3FF000884CC8D136, 0x3FEFFDDEE81226C3),
    (0x3FFBE1AC5E53CAC0, 0x3FD5136F7A29B3C5),
    (0x3FF00066D29B5FA6, 0x3FEFFE64C50EAD20),
    (0x3FF0C64A9B733D86, 0x3FED1CED0F660680),
    (0x3FF0005CB41DA050, 0x3FEFFE8D3C1FD905),
    (0x4019F41C9C8AB8D9, 0x3F9852D0B0B3446E),
    (0x3FF01184BD5AE53A, 0x3FEFBA5F79B3AD40),
)
"""x and math.Pow(x, -2), likewise: factors of VPA's lower bounds; C's pow has four of ten otherwise."""


def test_as_go() -> None:
    x, expected = np.array(EXP2, dtype=np.uint64).T.copy().view(np.float64)
    assert exp2(x).tolist() == expected.tolist()
    x, expected = np.array(POW, dtype=np.uint64).T.copy().view(np.float64)
    assert power(x, -2.0).tolist() == expected.tolist()
    assert [power(each, -2.0) for each in x.tolist()] == expected.tolist()


@pytest.mark.parametrize("exponent", [0.0, 1.0, 3.0, -2.0, 0.5, -0.1])
def test_powers(exponent: float) -> None:
    """Without any confidence the factor is infinite, or 0."""
    powers = power(np.array([1.0, 1.5, math.inf]), exponent) * np.ones(3)
    assert powers.tolist() == pytest.approx([1.0, 1.5**exponent, math.inf**exponent])


@given(st.floats(-1021, 1023))
def test_within_a_unit_in_the_last_place(x: float) -> None:
    assert abs(float(exp2(np.array([x]))[0]) - math.exp2(x)) <= math.ulp(math.exp2(x))


def test_whole_powers_are_exact_and_what_is_too_small_is_nothing() -> None:
    x = np.arange(-1074.0, 1024.0)
    assert exp2(x).tolist() == [math.ldexp(1.0, int(power)) for power in x]
    assert exp2(np.array([-1e300, -math.inf])).tolist() == [0.0, 0.0]
