"""2^x and x^y as Go's math.Exp2 and math.Pow round them, on every machine: C's and numpy's differ in the last bit, and
numpy's by the processor's instructions.

2^x: argument reduction and polynomial are those of FreeBSD's e_exp.c (Sun Microsystems, 1993), which Go's exp.go
follows; only additions, multiplications and a division, which IEEE 754 rounds alike everywhere.
"""

from typing import Any, Final, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
POLYNOMIAL: Final = (
    1.66666666666666657415e-01,
    -2.77777777770155933842e-03,
    6.61375632143793436117e-05,
    -1.65339022054652515390e-06,
    4.13813679705723846039e-08,
)
LEAST, MOST = -1100.0, 1023.0
"""Below, 2^x is 0; above, 2 to the power of this stands for it: weights are scaled down long before."""


def exp2(x: Floats) -> Floats:
    """2^x of each x that is a number, less than one unit in the last place from the true value."""
    x = np.clip(x, LEAST, MOST)
    whole = np.trunc(x + np.copysign(0.5, x))
    rest = x - whole
    high, low = rest * LN2_HIGH, -rest * LN2_LOW
    r = high - low
    t = r * r
    p1, p2, p3, p4, p5 = POLYNOMIAL
    c = r - t * (p1 + t * (p2 + t * (p3 + t * (p4 + t * p5))))
    made: Floats = np.ldexp(1 - ((low - (r * c) / (2 - c)) - high), whole.astype(np.int32))
    return made


@overload
def power(base: float, exponent: float) -> float: ...
@overload
def power(base: Floats, exponent: float) -> Floats: ...
def power(base: Any, exponent: float) -> Any:
    """base^exponent; as Go's where the exponent is a whole number, which all of VPA's are: by repeated squaring."""
    if exponent != int(exponent):
        return base**exponent
    left, result = abs(int(exponent)), 1.0
    while left:
        if left & 1:
            result = result * base
        base = base * base
        left >>= 1
    return 1 / result if exponent < 0 else result
