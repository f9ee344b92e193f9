"""The schemes of Winograd's minimal filtering, their matrices, and the five maps that are made of them.

In F(m x m, r x r) a filter g of r x r taps over a square d of n = m + r - 1 pixels to a side gives m x m outputs

    Y = A' [ (G g G') * (B' d B) ] A          * multiplies number by number

with n**2 products in place of r**2 * m**2. The matrices evaluate polynomials at n - 1 points and at infinity. Points
come in pairs p, -p, which share the even powers and have the odd ones with opposite signs: so G = PAIRS @ FILTER and
B' = PAIRS @ INPUT, where PAIRS makes  even + odd  and  even - odd  of each pair, and A' = OUTPUT @ PAIRS.

Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, sections 4.1 to 4.3; their points are
0, 1, -1, 2, -2 for n = 6, and 0, 1, -1 for n = 4. The gradient by the filter is G' [ (A dY A') * (B' d B) ] G.
"""

from typing import NamedTuple

from minidl.kernels.cpu.llvm.matrix_map import make_square_map
from minidl.kernels.cpu.runtime.compile import inner


class Scheme(NamedTuple):
    """F(m x m, r x r): m, r and n."""

    outputs: int
    taps: int
    points: int


SCHEMES = (Scheme(2, 3, 4), Scheme(4, 3, 6), Scheme(2, 5, 6))

PAIRS = {                 # n
    4: ((1, 0, 0, 0),
        (0, 1, 1, 0),
        (0, 1, -1, 0),
        (0, 0, 0, 1)),
    6: ((1, 0, 0, 0, 0, 0),
        (0, 1, 1, 0, 0, 0),
        (0, 1, -1, 0, 0, 0),
        (0, 0, 0, 1, 1, 0),
        (0, 0, 0, 1, -1, 0),
        (0, 0, 0, 0, 0, 1)),
}
INPUT = {                 # n
    4: ((1, 0, -1, 0),
        (0, 0, 1, 0),
        (0, 1, 0, 0),
        (0, 1, 0, -1)),
    6: ((4, 0, -5, 0, 1, 0),
        (0, 0, -4, 0, 1, 0),
        (0, -4, 0, 1, 0, 0),
        (0, 0, -1, 0, 1, 0),
        (0, -2, 0, 2, 0, 0),
        (0, 4, 0, -5, 0, 1)),
}
FILTER = {                # n, r
    (4, 3): ((1, 0, 0),
             (1 / 2, 0, 1 / 2),
             (0, 1 / 2, 0),
             (0, 0, 1)),
    (6, 3): ((1 / 4, 0, 0),
             (-1 / 6, 0, -1 / 6),
             (0, -1 / 6, 0),
             (1 / 24, 0, 1 / 6),
             (0, 1 / 12, 0),
             (0, 0, 1)),
    (6, 5): ((1 / 4, 0, 0, 0, 0),
             (-1 / 6, 0, -1 / 6, 0, -1 / 6),
             (0, -1 / 6, 0, -1 / 6, 0),
             (1 / 24, 0, 1 / 6, 0, 2 / 3),
             (0, 1 / 12, 0, 1 / 3, 0),
             (0, 0, 0, 0, 1)),
}
OUTPUT = {                # m, n
    (2, 4): ((1, 1, 0, 0),
             (0, 0, 1, -1)),
    (4, 6): ((1, 1, 0, 1, 0, 0),
             (0, 0, 1, 0, 2, 0),
             (0, 1, 0, 4, 0, 0),
             (0, 0, 1, 0, 8, 1)),
    (2, 6): ((1, 1, 0, 1, 0, 0),
             (0, 0, 1, 0, 2, 1)),
}


def transposed(matrix):
    """The transpose. PAIRS is its own."""
    return tuple(zip(*matrix, strict=True))


to_input = make_square_map([(PAIRS[n], INPUT[n]) for n in INPUT])
to_filter = make_square_map([(PAIRS[n], t) for (n, _), t in FILTER.items()])
to_output = make_square_map([(t, PAIRS[n]) for (_, n), t in OUTPUT.items()], ending="finish")
to_gradient = make_square_map([(PAIRS[n], transposed(t)) for (_, n), t in OUTPUT.items()])
to_filter_gradient = make_square_map([(transposed(t), PAIRS[n]) for (n, _), t in FILTER.items()], ending="add")


@inner
def input_map(scheme, like, sources, at, targets, to):
    """B' d B:  n**2 pixels of an image  ->  n**2"""
    to_input(scheme.points, scheme.points, like, sources, at, targets, to, 0, 0)


@inner
def filter_map(scheme, like, sources, at, targets, to):
    """G g G':  r**2 taps of a filter  ->  n**2"""
    to_filter(scheme.points, scheme.taps, like, sources, at, targets, to, 0, 0)


@inner
def output_map(scheme, like, sources, at, targets, to, bias, relu):
    """A' M A + bias, rectified if relu is 1:  n**2 sums of products  ->  m**2 pixels of the output"""
    to_output(scheme.outputs, scheme.points, like, sources, at, targets, to, bias, relu)


@inner
def gradient_map(scheme, like, sources, at, targets, to):
    """A dY A':  m**2 pixels of the output's gradient  ->  n**2"""
    to_gradient(scheme.points, scheme.outputs, like, sources, at, targets, to, 0, 0)


@inner
def add_filter_gradient(scheme, like, sources, at, targets, to):
    """G' M G:  n**2 sums of products  ->  added to the gradient of r**2 taps"""
    to_filter_gradient(scheme.taps, scheme.points, like, sources, at, targets, to, 0, 0)
