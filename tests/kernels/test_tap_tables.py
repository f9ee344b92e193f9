"""The tables of window taps against their definition: tap k of output o reads input o * s + k * d - pads[0]."""

import os

import pytest

if os.environ.get("NUMBA_DISABLE_JIT", "0") == "1":
    pytest.skip("the cpu backend needs Numba's compiler", allow_module_level=True)

from minidl.kernels import Window
from minidl.kernels.cpu.convolution.tap_tables import Axis, axes, input_steps, phases, taps_per_input, taps_per_output

each_axis = pytest.mark.parametrize("axis", [
    Axis(4, 3, 2, 1, (1, 0), 2), Axis(5, 3, 1, 1, (1, 1), 5), Axis(9, 7, 2, 2, (3, 4), 2), Axis(1, 5, 3, 1, (4, 9), 4),
    Axis(17, 3, 2, 1, (1, 0), 8), Axis(10, 2, 3, 1, (0, 0), 3), Axis(12, 4, 4, 6, (9, 8), 3),
    Axis(6, 1, 2, 1, (0, 0), 3),
])


def triples(axis):
    """Every (output, tap, input) inside the image."""
    return {(o, k, i) for o in range(axis.out) for k in range(axis.kernel)
            if 0 <= (i := o * axis.stride + k * axis.dilation - axis.pads[0]) < axis.size}


@each_axis
def test_taps_per_output(axis):
    found = {(o, row["tap"] + t, row["source"] + t * axis.dilation)
             for o, row in enumerate(taps_per_output(axis)) for t in range(row["count"])}
    assert found == triples(axis)


@each_axis
def test_taps_per_input(axis):
    output_step, tap_step = input_steps(axis)
    found = {(row["source"] + t * output_step, axis.kernel - 1 - (row["tap"] + t * tap_step), i)
             for i, row in enumerate(taps_per_input(axis)) for t in range(row["count"])}
    assert found == triples(axis)


@each_axis
def test_phases(axis):
    """In the padded gradient, the outputs that read inputs of a phase through one tap follow each other."""
    found, (before, after) = phases(axis)
    read = {(start + p - before, k, r + p * axis.stride)
            for r, phase in enumerate(found) if phase.taps is not None
            for start, k in zip(phase.starts, range(axis.kernel)[phase.taps], strict=True) for p in range(phase.count)}
    assert {triple for triple in read if 0 <= triple[0] < axis.out} == triples(axis)
    assert all(-before <= o < axis.out + after for o, _, _ in read)


def test_axes_of_a_window():
    window = Window((3, 5), (2, 1), ((1, 0), (2, 2)), (1, 3))
    assert axes(window, (7, 20)) == (Axis(7, 3, 2, 1, (1, 0), 3), Axis(20, 5, 1, 3, (2, 2), 12))


def test_the_example_in_the_docstring():
    axis = Axis(4, 3, 2, 1, (1, 0), 2)
    assert taps_per_output(axis).tolist() == [(1, 2, 0), (0, 3, 1)]
    assert taps_per_input(axis)[1].tolist() == (0, 2, 0)
