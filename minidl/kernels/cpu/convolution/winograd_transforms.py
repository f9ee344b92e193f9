"""Winograd's minimal filtering F(m x m, r x r): the schemes, their matrices, and the five transforms made of them.

A filter g of r x r taps over a tile d of n x n pixels, n = m + r - 1, gives m x m outputs

    Y = A' [ (G g G') * (B' d B) ] A          * is the elementwise product

with n**2 multiplications in place of r**2 * m**2. The matrices evaluate polynomials at n - 1 points and at infinity.
Points come in pairs p, -p, which share the even powers and have the odd ones with opposite signs. Hence
G = PAIRS @ FILTER and B' = PAIRS @ INPUT, where PAIRS makes  even + odd  and  even - odd  of each pair, and
A' = OUTPUT @ PAIRS. The gradient by the filter is G' [ (A dY A') * (B' d B) ] G.

Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, sections 4.1 to 4.3. Their points are
0, 1, -1, 2, -2 for n = 6, and 0, 1, -1 for n = 4.
"""

from typing import NamedTuple

from minidl.kernels.cpu.llvm.matrix_map import Inside, make_matrix_map
from minidl.kernels.cpu.runtime.compile import inner


class Scheme(NamedTuple):
    """F(m x m, r x r), with tiles of n x n inputs."""

    m: int
    r: int
    n: int


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
    """The transpose of a matrix; PAIRS are symmetric."""
    return tuple(zip(*matrix, strict=True))


NOWHERE = Inside(0, 0, 0, 0, 0)      # of filters, which no border cuts

to_input = make_matrix_map([(PAIRS[n], INPUT[n]) for n in INPUT], cut="source")
to_filter = make_matrix_map([(PAIRS[n], t) for (n, _), t in FILTER.items()])
to_output = make_matrix_map([(t, PAIRS[n]) for (_, n), t in OUTPUT.items()], cut="target", epilogue="finish")
to_gradient = make_matrix_map([(PAIRS[n], transposed(t)) for (_, n), t in OUTPUT.items()], cut="source")
FILTER_GRADIENT = [(transposed(t), PAIRS[n]) for (n, _), t in FILTER.items()]
to_filter_gradient = make_matrix_map(FILTER_GRADIENT)
onto_filter_gradient = make_matrix_map(FILTER_GRADIENT, epilogue="add")


@inner
def transform_input(scheme, like, source, target, inside, ahead):
    """B' d B:  n x n pixels of an image  ->  n x n frequencies"""
    to_input(like, scheme.n, scheme.n, source, target, inside, ahead, 0, 0)


@inner
def transform_filter(scheme, like, source, target):
    """G g G':  r x r taps of a filter  ->  n x n frequencies"""
    to_filter(like, scheme.n, scheme.r, source, target, NOWHERE, 0, 0, 0)


@inner
def transform_products(scheme, like, source, target, inside, ahead, bias, relu):
    """A' M A + bias, and max(..., 0) if relu is 1:  n x n frequencies  ->  m x m pixels of the output"""
    to_output(like, scheme.m, scheme.n, source, target, inside, ahead, bias, relu)


@inner
def transform_gradient(scheme, like, source, target, inside, ahead):
    """A dY A':  m x m pixels of the output's gradient  ->  n x n frequencies"""
    to_gradient(like, scheme.n, scheme.m, source, target, inside, ahead, 0, 0)


@inner
def transform_sums(scheme, like, source, target, fresh):
    """G' M G:  n x n frequencies  ->  the gradient of r x r taps, or, unless `fresh`, added to it"""
    if fresh:
        to_filter_gradient(like, scheme.r, scheme.n, source, target, NOWHERE, 0, 0, 0)
    else:
        onto_filter_gradient(like, scheme.r, scheme.n, source, target, NOWHERE, 0, 0, 0)
