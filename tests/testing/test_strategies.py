"""The strategies draw valid and varied examples, as documented."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl.functional as F
from minidl import Tensor
from minidl.testing import strategies
from minidl.testing.strategies import (
    broadcastable_shapes,
    convolutions,
    distinct_values,
    layouts,
    poolings,
    reductions,
    seeds,
    shapes,
)

pytestmark = pytest.mark.examples(0.4)

LAYOUTS = [strategies.c_order, strategies.channels_last, strategies.transposed, strategies.sliced, strategies.reverse]


@given(drawn=st.lists(shapes(min_side=0), max_size=3), seed=seeds)
def test_distinct_values(drawn, seed):
    arrays = distinct_values(*drawn, seed=seed)
    assert [a.shape for a in arrays] == drawn
    values = np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0)
    assert len(set(values)) == len(values)
    assert (abs(values) < 1).all()
    assert (abs(values) > 0.5 / (len(values) / 2 + 1) - 1e-12).all()
    again = distinct_values(*drawn, seed=seed)
    assert all((a == b).all() for a, b in zip(arrays, again, strict=True))


@given(drawn=broadcastable_shapes(count=3))
def test_broadcastable_shapes(drawn):
    assert len(np.broadcast_shapes(*drawn)) <= 4


@given(case=reductions())
def test_reductions(case):
    np.zeros(case.shape).sum(**case.settings)


@given(case=convolutions())
def test_convolutions_fit(case):
    out = F.conv2d(*map(np.zeros, (case.x, case.weight, case.bias)), **case.settings)
    assert 0 < out.numel() < 5000


@given(case=convolutions(grouped=False))
def test_convolutions_of_one_group(case):
    assert case.settings["groups"] == 1


@given(case=poolings())
def test_poolings_fit(case):
    assert F.max_pool2d(np.zeros(case.x), **case.settings).numel() > 0


KINDS = {
    "not square": lambda c: c.weight[2] != c.weight[3] and c.x[2] != c.x[3],
    "batch and channel of 1": lambda c: c.x[0] == c.x[1] == 1,
    "same, of an even kernel": lambda c: c.settings["padding"] == "same" and c.weight[2] % 2 == 0,
    "valid": lambda c: c.settings["padding"] == "valid",
    "one number for the stride": lambda c: isinstance(c.settings["stride"], int) and c.settings["stride"] > 1,
    "uneven dilation": lambda c: isinstance(c.settings["dilation"], tuple) and len(set(c.settings["dilation"])) == 2,
    "groups of several": lambda c: c.settings["groups"] > 1 and c.weight[1] > 1 and c.weight[0] > c.settings["groups"],
    "depthwise": lambda c: c.weight[1] == 1 < c.settings["groups"] == c.weight[0],
}


def test_every_kind_of_convolution_is_drawn():
    drawn = []

    @settings(max_examples=300, derandomize=True, database=None)
    @given(case=convolutions())
    def collect(case):
        drawn.append(case)
    collect()
    for kind, is_kind in KINDS.items():
        assert any(map(is_kind, drawn)), kind


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
@given(shape=shapes(min_side=0), seed=seeds)
def test_layouts_change_only_the_memory_layout(xp, layout, dtype, shape, seed):
    values = 100 * distinct_values(shape, seed=seed)[0]
    values = (values > 0 if dtype == "bool" else values + 100).astype(dtype)
    x = xp.asarray(values.copy())
    out = layout(x)
    assert type(out) is type(x)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert (out == x).all()
    out[...] = 0
    np.testing.assert_array_equal(Tensor(x).numpy(), values)             # it does not share memory


def test_layouts_change_the_memory_layout():
    x = np.zeros((2, 3, 4, 5))
    strides = {layout.__name__: tuple(s // 8 for s in layout(x).strides) for layout in LAYOUTS}
    assert strides == {
        "c_order": (60, 20, 5, 1),
        "channels_last": (60, 1, 15, 3),
        "transposed": (1, 2, 6, 24),
        "sliced": (7 * 9 * 11 * 2, 9 * 11 * 2, 11 * 2, 2),
        "reverse": (-60, -20, -5, -1),
    }


def test_gaps_between_slices_are_not_finite():
    assert np.isnan(strategies.sliced(np.zeros(3)).base).sum() == 4


@given(layout=layouts)
def test_a_layout_can_be_drawn(layout):
    assert layout in LAYOUTS


def test_without_hypothesis_the_error_names_what_to_install():
    code = "import sys; sys.modules['hypothesis'] = None; import minidl.testing; import minidl.testing.strategies"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stderr.strip().endswith(
        "ImportError: minidl.testing.strategies needs Hypothesis; get it with `pip install minidl[test]`")
