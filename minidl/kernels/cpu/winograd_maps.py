"""The matrices of Winograd's minimal filtering, F(4x4, 3x3) and F(2x2, 3x3), and the six maps that are made of them.

A 3x3 filter g over a square d of m + 2 pixels gives m x m outputs

    Y = A' [ (G g G') * (B' d B) ] A          * multiplies number by number

with (m + 2)**2 products in place of 9 * m**2. The matrices evaluate polynomials at m + 1 points and at infinity. Points
come in pairs p, -p, which share the even powers and have the odd ones with opposite signs: so G = PAIRS @ FILTER and
B' = PAIRS @ INPUT, where PAIRS makes  even + odd  and  even - odd  of each pair, and A' = OUTPUT @ PAIRS.

Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, sections 4.1 to 4.3; their points are
0, 1, -1, 2, -2 for m = 4, and 0, 1, -1 for m = 2. The gradient by the filter is G' [ (A dY A') * (B' d B) ] G.
"""

from minidl.kernels.cpu.compile import inner
from minidl.kernels.cpu.square_map import make_square_map

PAIRS_4 = (
    (1, 0, 0, 0, 0, 0),
    (0, 1, 1, 0, 0, 0),
    (0, 1, -1, 0, 0, 0),
    (0, 0, 0, 1, 1, 0),
    (0, 0, 0, 1, -1, 0),
    (0, 0, 0, 0, 0, 1),
)
INPUT_4 = (
    (4, 0, -5, 0, 1, 0),
    (0, 0, -4, 0, 1, 0),
    (0, -4, 0, 1, 0, 0),
    (0, 0, -1, 0, 1, 0),
    (0, -2, 0, 2, 0, 0),
    (0, 4, 0, -5, 0, 1),
)
FILTER_4 = (
    (1 / 4, 0, 0),
    (-1 / 6, 0, -1 / 6),
    (0, -1 / 6, 0),
    (1 / 24, 0, 1 / 6),
    (0, 1 / 12, 0),
    (0, 0, 1),
)
OUTPUT_4 = (
    (1, 1, 0, 1, 0, 0),
    (0, 0, 1, 0, 2, 0),
    (0, 1, 0, 4, 0, 0),
    (0, 0, 1, 0, 8, 1),
)
PAIRS_2 = (
    (1, 0, 0, 0),
    (0, 1, 1, 0),
    (0, 1, -1, 0),
    (0, 0, 0, 1),
)
INPUT_2 = (
    (1, 0, -1, 0),
    (0, 0, 1, 0),
    (0, 1, 0, 0),
    (0, 1, 0, -1),
)
FILTER_2 = (
    (1, 0, 0),
    (1 / 2, 0, 1 / 2),
    (0, 1 / 2, 0),
    (0, 0, 1),
)
OUTPUT_2 = (
    (1, 1, 0, 0),
    (0, 0, 1, -1),
)


def transposed(matrix):
    """The transpose. PAIRS is its own."""
    return tuple(zip(*matrix, strict=True))


input_4, input_2 = make_square_map(PAIRS_4, INPUT_4), make_square_map(PAIRS_2, INPUT_2)
filter_4, filter_2 = make_square_map(PAIRS_4, FILTER_4), make_square_map(PAIRS_2, FILTER_2)
output_4 = make_square_map(OUTPUT_4, PAIRS_4, ending="finish")
output_2 = make_square_map(OUTPUT_2, PAIRS_2, ending="finish")
spread_4 = make_square_map(PAIRS_4, transposed(OUTPUT_4))
spread_2 = make_square_map(PAIRS_2, transposed(OUTPUT_2))
collect_4 = make_square_map(transposed(FILTER_4), PAIRS_4, ending="add")
collect_2 = make_square_map(transposed(FILTER_2), PAIRS_2, ending="add")


@inner
def input_map(m, like, sources, at, targets, to):
    """B' d B:  (m + 2)**2 pixels of an image  ->  (m + 2)**2"""
    if m == 4:
        input_4(like, sources, at, targets, to, 0, 0)
    else:
        input_2(like, sources, at, targets, to, 0, 0)


@inner
def filter_map(m, like, sources, at, targets, to):
    """G g G':  the 9 taps of a filter  ->  (m + 2)**2"""
    if m == 4:
        filter_4(like, sources, at, targets, to, 0, 0)
    else:
        filter_2(like, sources, at, targets, to, 0, 0)


@inner
def output_map(m, like, sources, at, targets, to, bias, relu):
    """A' M A + bias, rectified if relu is 1:  (m + 2)**2 sums of products  ->  m**2 pixels of the output"""
    if m == 4:
        output_4(like, sources, at, targets, to, bias, relu)
    else:
        output_2(like, sources, at, targets, to, bias, relu)


@inner
def gradient_map(m, like, sources, at, targets, to):
    """A dY A':  m**2 pixels of the output's gradient  ->  (m + 2)**2"""
    if m == 4:
        spread_4(like, sources, at, targets, to, 0, 0)
    else:
        spread_2(like, sources, at, targets, to, 0, 0)


@inner
def add_filter_gradient(m, like, sources, at, targets, to):
    """G' M G:  (m + 2)**2 sums of products  ->  added to the gradient of the 9 taps"""
    if m == 4:
        collect_4(like, sources, at, targets, to, 0, 0)
    else:
        collect_2(like, sources, at, targets, to, 0, 0)
