"""Batch norms folded into convolutions: the same results in fewer passes; what cannot be folded stays."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
import minidl.nn as nn
from minidl import Tensor, no_grad
from minidl.testing.strategies import convolutions, distinct_values, seeds


def norm(channels, seed=0, **settings):
    """A norm whose parameters and statistics are all different, so that none can be left out unnoticed."""
    layer = nn.BatchNorm2d(channels, **settings)
    for tensor in layer.parameters() + layer.buffers()[:2]:
        seed += 1
        tensor.data = distinct_values((channels,), seed=seed, dtype=np.float32)[0] + np.float32(1.5)
    return layer.eval()


def norms_in(model):
    return sum(isinstance(module, nn.BatchNorm2d) for _, module in model.named_modules())


def folded_and_compared(model, x):
    """The folded model, after checking that it gives what the model gives, on the example and on another input."""
    before = model.state_dict()
    folded = nn.fold_batch_norm(model, x[:1])
    np.testing.assert_allclose(folded(Tensor(x)).data, model(Tensor(x)).data, rtol=1e-4, atol=1e-4)
    assert list(before) == list(model.state_dict())
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    return folded


def images(channels=3, seed=0):
    return distinct_values((2, channels, 6, 5), seed=seed, dtype=np.float32)[0]


@given(case=convolutions(), biased=st.booleans(), affine=st.booleans(),
       relu=st.sampled_from([(False, None), (True, None), (True, 0.5)]), seed=seeds)
def test_one_convolution_and_its_norm(case, biased, affine, relu, seed):
    relu, ceiling = relu

    class Pair(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(case.x[1], case.weight[0], case.weight[2:], bias=biased, **case.settings)
            self.norm = norm(case.weight[0], seed, affine=affine)

        def forward(self, x):
            return self.norm(self.conv(x), relu=relu, ceiling=ceiling)

    model, (x,) = Pair().eval(), distinct_values(case.x, seed=seed, dtype=np.float32)
    conv, state = model.conv, model.norm.state_dict()
    expected = reference.conv2d(x, conv.weight.data, conv.bias.data if biased else None, **case.settings)
    ones, zeros = np.ones(case.weight[0]), np.zeros(case.weight[0])
    expected = reference.batch_norm(expected, state.get("weight", ones), state.get("bias", zeros),
                                    state["running_mean"], state["running_var"], 1e-5)
    folded = nn.fold_batch_norm(model, x)
    assert norms_in(folded) == 0
    assert norms_in(model) == 1
    out = folded(Tensor(x)).data
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, np.clip(expected, 0, ceiling) if relu else expected, rtol=1e-4, atol=1e-5)


def test_layers_in_lists_dictionaries_and_rows():
    class Net(nn.Module):
        def __init__(self):
            self.rows = [nn.Sequential(nn.Conv2d(3, 4, 3), norm(4), nn.ReLU()), nn.Conv2d(4, 5, 2)]
            self.more = {"norm": norm(5), "pool": nn.MaxPool2d(2)}

        def forward(self, x):
            return self.more["pool"](self.more["norm"](self.rows[1](self.rows[0](x)), relu=True))

    folded = folded_and_compared(Net().eval(), images())
    assert norms_in(folded) == 0
    assert isinstance(folded.rows[0][0], nn.Identity)
    assert not any(module.training for _, module in folded.named_modules())


class Block(nn.Module):
    """A residual block; with shortcut=False, one that lacks it."""

    def __init__(self, shortcut=True):
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1), norm(3, 1)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1, bias=False), norm(3, 2)
        self.shortcut = shortcut

    def forward(self, x):
        out = self.bn1(self.conv1(x), relu=True)
        return self.bn2(self.conv2(out), add=x if self.shortcut else None, relu=True, ceiling=1.5)


def test_a_norm_that_adds_a_shortcut_stays():
    assert norms_in(folded_and_compared(Block(True).eval(), images())) == 1
    model = Block(False).eval()
    folded = folded_and_compared(model, images())
    assert norms_in(folded) == 0
    model.shortcut = folded.shortcut = True                  # a call that was not made for the example
    np.testing.assert_allclose(folded(Tensor(images())).data, model(Tensor(images())).data, rtol=1e-4, atol=1e-5)


class Fork(nn.Module):
    """One convolution and one norm, called by the function `connect`."""

    def __init__(self, connect, conv, norm):
        self.connect, self.conv, self.norm = connect, conv, norm.eval()

    def forward(self, x):
        return self.connect(self, x)


def read_twice(self, x):
    out = self.conv(x)
    return self.norm(out) + out


class Doubled(nn.Conv2d):
    """A convolution that computes something other than its weights show."""

    def forward(self, x, relu=False):
        return super().forward(x * 2, relu)


def in_a_row(self, x):
    return self.norm(self.conv(x))


STAYS = {
    "read_twice": (read_twice, nn.Conv2d(3, 3, 1), norm(3)),
    "conv_called_twice": (lambda self, x: self.norm(self.conv(x)) + self.conv(x), nn.Conv2d(3, 3, 1), norm(3)),
    "norm_called_twice": (lambda self, x: self.norm(self.norm(self.conv(x))), nn.Conv2d(3, 3, 1), norm(3)),
    "relu_between": (lambda self, x: self.norm(self.conv(x, relu=True)), nn.Conv2d(3, 3, 1), norm(3)),
    "settings_by_position": (lambda self, x: self.norm(self.conv(x, True), x, True), nn.Conv2d(3, 3, 1), norm(3)),
    "function_between": (lambda self, x: self.norm(F.tanh(self.conv(x))), nn.Conv2d(3, 3, 1), norm(3)),
    "norm_first": (lambda self, x: self.conv(self.norm(x)), nn.Conv2d(3, 3, 1), norm(3)),
    "no_statistics": (in_a_row, nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)),
    "another_kind": (in_a_row, Doubled(3, 3, 1), norm(3)),
}


@pytest.mark.parametrize("parts", STAYS.values(), ids=STAYS)
def test_what_cannot_be_folded_stays(parts):
    x = images() if parts is not STAYS["no_statistics"] else images()[:1]
    assert norms_in(folded_and_compared(Fork(*parts).eval(), x)) == 1


def test_fresh_norms_do_not_hide_a_second_reader():
    """A norm with its initial statistics is nearly the identity: comparing outputs would miss the second reader."""
    model = Fork(read_twice, nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).eval()
    assert norms_in(folded_and_compared(model, images())) == 1


def test_the_weights_keep_their_dtype_and_their_order_in_memory():
    model = nn.Sequential(nn.Conv2d(3, 4, (2, 3)), norm(4)).to(dtype=np.float64).eval()
    conv = nn.fold_batch_norm(model, images().astype(np.float64))[1].conv
    assert conv.weight.dtype == conv.bias.dtype == np.float64
    assert conv.weight.data.strides == model[0].weight.data.strides


def test_frozen_models_fold_too():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), norm(4)).eval().requires_grad_(False)
    assert norms_in(folded_and_compared(model, images())) == 0


@pytest.mark.parametrize("hooked", [0, 1])
def test_layers_with_hooks_are_not_folded_and_their_hooks_still_run(hooked):
    model, seen = nn.Sequential(nn.Conv2d(3, 4, 1), norm(4)).eval(), []
    model[hooked].register_forward_hook(lambda module, args, out: seen.append(out.data))
    folded = folded_and_compared(model, images())
    assert norms_in(folded) == 1
    seen.clear()
    folded(Tensor(images()))
    expected = model[0](Tensor(images()))
    np.testing.assert_array_equal(seen[0], (expected if hooked == 0 else model[1](expected)).data)


def test_layers_called_by_keyword_fold():
    def by_name(self, x):
        return self.norm(x=self.conv(x=x))

    assert norms_in(folded_and_compared(Fork(by_name, nn.Conv2d(3, 3, 1), norm(3)).eval(), images())) == 0


def test_training_mode_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), norm(4))
    with pytest.raises(ValueError, match=r"^fold_batch_norm: Sequential is in training mode; call model\.eval\(\)"):
        nn.fold_batch_norm(model, images())
    model.eval()[1].train()
    with pytest.raises(ValueError, match=r"^fold_batch_norm: 1 is in training mode"):
        nn.fold_batch_norm(model, images())


def test_a_reader_that_the_tape_does_not_show_is_detected():
    def peeks(self, x):
        out = self.conv(x)
        return self.norm(out) + float(out.data.mean())

    with pytest.raises(ValueError, match=r"^fold_batch_norm: on the example the folded network is off by"):
        nn.fold_batch_norm(Fork(peeks, nn.Conv2d(3, 3, 1), norm(3)).eval(), images())


def test_other_misuse_is_named():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), norm(4)).eval()
    with no_grad(), pytest.raises(RuntimeError, match=r"^fold_batch_norm: .* outside no_grad\(\)"):
        nn.fold_batch_norm(model, images())
    with pytest.raises(TypeError, match=r"^fold_batch_norm: the model must give one Tensor, not a tuple"):
        nn.fold_batch_norm(Fork(lambda self, x: (x, x), nn.Conv2d(3, 3, 1), norm(3)).eval(), images())
