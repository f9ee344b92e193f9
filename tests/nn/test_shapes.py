"""Summaries and drawings need no images where an empty batch will do, and one image elsewhere, with equal results."""

import numpy as np
import pytest

import minidl.functional as F
import zoo
from minidl import Tensor, kernels, nn, profile
from minidl.cli import main
from minidl.modes import mode
from minidl.nn import init
from minidl.plot.graph import boxes_in, trace
from minidl.summary import summary, summary_of

pytestmark = pytest.mark.filterwarnings("error")


def batches(model):
    """A set that receives the length of each input of each module of `model`."""
    seen = set()
    for _, module in model.named_modules():
        module.register_forward_pre_hook(lambda module, inputs: seen.update(map(len, inputs)))
    return seen


@pytest.mark.parametrize("name", zoo.names())
def test_no_network_of_the_zoo_needs_an_image(name):
    with init.placeholders():
        model = zoo.create(name)
    seen = batches(model)
    summary(model, (model.architecture["settings"]["in_channels"], *2 * [zoo.image_size(name)]))
    assert seen == {0}


class Calls(nn.Module):
    """A function between a convolution and a dense layer."""

    def __init__(self, function, features):
        self.function = function
        self.conv, self.rest, self.fc = nn.Conv2d(2, 4, 1), nn.Dropout(), nn.Linear(features, 3)

    def forward(self, x):
        return self.fc(self.rest(self.function(self.conv(x))))


EMPTY = {                                             # a function of (N, 4, 5, 6), and the length of its last axis
    "flatten": (lambda x: F.flatten(x, 1), 120),
    "pixels as a sequence": (lambda x: F.permute(F.flatten(x, 2), axes=(0, 2, 1)), 4),
    "split channels": (lambda x: x.reshape(x.shape[0], 2, 2, 5, 6), 6),
    "merge rows": (lambda x: x.reshape(x.shape[0], 20, 6), 6),
    "slice": (lambda x: x[:, 1:, 2], 6),
    "mean": (lambda x: x.mean((2, 3)), 4),
    "cat": (lambda x: F.cat([x, x], 1).sum(2), 6),
    "amax, then one pixel": (lambda x: F.flatten(x.amax((2, 3), keepdims=True), 1), 4),
    "a parameter's shape": (lambda x: x + Tensor(np.ones(4, np.float32)).reshape(4, 1, 1), 6),
}
NOT_EMPTY = {
    "-1": (lambda x: x.reshape(len(x), -1), 120),
    "rows as images": (lambda x: F.flatten(F.permute(x, axes=(0, 2, 1, 3)), 0, 1).sum(1), 6),
    "two batches as one": (lambda x: F.cat([x, x], 0), 6),
    "sequence first": (lambda x: F.permute(F.flatten(x, 2), axes=(2, 0, 1)), 4),
    "mean of the batch": (lambda x: x - x.mean(0, keepdims=True), 6),
    "mean of all": (lambda x: x - x.mean(), 6),
    "an image": (lambda x: x + x[0], 6),
    "moments of the batch": (nn.BatchNorm2d(4, track_running_stats=False), 6),
    "a condition": (lambda x: x * 2 if float(x.amax()) < 1000 else x, 6),
}


@pytest.mark.parametrize("case", [*EMPTY, *NOT_EMPTY])
def test_the_table_is_that_of_one_image(case):
    model = Calls(*(EMPTY | NOT_EMPTY)[case])
    seen = batches(model.fc)
    table = summary(model, (2, 5, 6))
    assert (seen == {0}) == (case in EMPTY)
    with kernels.using("plain"):
        assert table == summary_of(model, Tensor(np.zeros((1, 2, 5, 6), np.float32)))
    boxes = boxes_in(trace(model, (2, 5, 6)).root)
    assert boxes[-1].shape == table.rows[-1].shape


def test_an_input_flattened_is_a_view():
    rows = summary(nn.Sequential(nn.Flatten(), nn.Linear(90, 2), nn.Flatten()), (3, 5, 6)).rows
    assert [row.bytes for row in rows] == [0, 8, 0]


def test_errors_name_one_image_and_come_from_the_second_run():
    with pytest.raises(ValueError, match=r"x \(1, 3, 5, 6\)") as error:
        summary(nn.Conv2d(2, 4, 1), (3, 5, 6))
    assert error.value.__context__ is None


def test_an_open_profile_goes_on():
    with profile() as p:
        summary(nn.Conv2d(2, 4, 1), (2, 5, 6))
        assert mode.watcher is p
    assert "conv2d" not in {call.name for call in p.calls}


def test_commands_draw_no_weights(tmp_path, capsys):
    with init.at_most(0):
        for line in ("zoo vgg16", "summary alexnet --input 3,224,224", f"draw lenet5 -o {tmp_path / 'net.svg'}"):
            assert main(line.split()) == 0
    assert "138,357,544" in capsys.readouterr().out
