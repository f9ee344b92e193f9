"""The learning-rate finder: what it finds, and that it leaves everything as it was."""

import numpy as np
import pytest
from PIL import Image
from toy_run import TRAIN_SET, net

import minidl
from minidl import nn, optim
from minidl.data import ImageDataset, drawn_digits
from minidl.train import RateSearch, find_lr


def state(model, optimizer):
    """Everything that a search could change."""
    kept = optimizer.state_dict()
    return ({name: array.copy() for name, array in model.state_dict().items()}, kept["arrays"], kept["numbers"],
            {name: p.grad is None for name, p in model.named_parameters()},
            {name: module.training for name, module in model.named_modules()}, minidl.device.random_state())


def assert_equal(first, second):
    for one, other in zip(first[:2], second[:2], strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)
    assert first[2:] == second[2:]


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.05, 0.9), optim.Adam])
def test_everything_is_as_before(make):
    """Also after steps, which leave momentum and running statistics; and two searches find the same."""
    model = net()
    optimizer = make(list(model.named_parameters()))
    find_lr(model, optimizer, TRAIN_SET, batch_size=16, steps=10)
    model.conv.eval()
    model(minidl.Tensor(TRAIN_SET.batch([0, 1])[0])).sum().backward()
    optimizer.step()
    before = state(model, optimizer)
    first = find_lr(model, optimizer, TRAIN_SET, batch_size=16, steps=20, seed=3)
    assert_equal(state(model, optimizer), before)
    assert find_lr(model, optimizer, TRAIN_SET, batch_size=16, steps=20, seed=3) == first
    assert find_lr(model, optimizer, TRAIN_SET, batch_size=16, steps=20, seed=4) != first


def test_after_an_error_everything_is_as_before():
    model = net()
    optimizer = optim.SGD(model.named_parameters(), 0.05)
    before = state(model, optimizer)

    def loss(logits, labels):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(1)
        return minidl.functional.cross_entropy(logits, labels)

    seen = []
    with pytest.raises(KeyboardInterrupt):
        find_lr(model, optimizer, TRAIN_SET, batch_size=16, loss=loss)
    assert_equal(state(model, optimizer), before)


def test_the_suggestion_learns():
    """A step or two of the suggested size lowers the loss; the search ends when it explodes."""
    model = net()
    found = find_lr(model, optim.SGD(model.named_parameters(), 0.05, 0.9), drawn_digits(300, seed=1), batch_size=32)
    assert len(found.rates) == len(found.losses) < 100
    assert found.rates == sorted(found.rates)
    assert found.rates[0] == pytest.approx(1e-6)
    assert 1e-3 < found.suggestion < 1
    assert min(found.losses) < found.losses[0]


def test_the_steepest_descent():
    rates = np.geomspace(1e-5, 1.0, 51)
    losses = 2 - np.tanh(3 * (np.log10(rates) + 3)) + 100 * (rates > 0.5) * rates
    assert RateSearch(rates.tolist(), losses.tolist()).suggestion == pytest.approx(1e-3, rel=0.3)


def test_a_loss_that_hardly_falls_gives_a_tenth_of_the_end():
    rates = np.geomspace(1e-5, 1.0, 51).tolist()
    losses = [2.3 - 0.001 * (i % 3) for i in range(51)]
    assert RateSearch(rates, losses).suggestion == pytest.approx(0.1)


def test_groups_keep_their_proportions(monkeypatch):
    model = net()
    groups = optim.parameter_groups(model, 0.1, 0.0, {"conv": 0.01})
    optimizer = optim.SGD(groups)
    seen = []

    def step(self):
        seen.append([group["lr"] for group in self.param_groups])

    monkeypatch.setattr(optim.SGD, "step", step)
    found = find_lr(model, optimizer, TRAIN_SET, batch_size=16, steps=10, start=1e-4, end=1e-2)
    assert [lr for _, lr in seen] == pytest.approx(found.rates)
    assert [lr for lr, _ in seen] == pytest.approx([0.01 * lr for lr in found.rates])


def test_frozen_parts_do_not_learn(monkeypatch):
    """The copy that is trained keeps the weights and the running statistics of what is frozen."""
    model, kept = net(), []
    step = optim.SGD.step

    def watched(self):
        step(self)
        kept.append({name: p.data.copy() for name, p in zip(self.names, self.parameters, strict=True)})

    monkeypatch.setattr(optim.SGD, "step", watched)
    find_lr(model, optim.SGD(model.named_parameters(), 0.1), TRAIN_SET, batch_size=16, steps=10, end=0.1,
            freeze=["conv", "norm"])
    np.testing.assert_array_equal(kept[-1]["conv.weight"], model.conv.weight.data)
    assert not np.array_equal(kept[-1]["fc.weight"], model.fc.weight.data)


def test_a_set_smaller_than_a_batch():
    model = net()
    found = find_lr(model, optim.SGD(model.named_parameters(), 0.1), TRAIN_SET.take(5), steps=12, end=0.01)
    assert len(found.rates) == 12


def test_plot(tmp_path):
    found = RateSearch([0.001, 0.01, 0.1], [2.0, 1.0, 3.0])
    found.plot(tmp_path / "lr.png", "a title")
    with Image.open(tmp_path / "lr.png") as image:
        assert image.size[0] > 500


class Infinite(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(28 * 28, 10)

    def forward(self, x):
        return self.fc(minidl.functional.flatten(x, 1)) * float("nan")


@pytest.mark.parametrize(("settings", "message"), [
    ({"start": 0}, "find_lr: start=0 must be larger than 0, and less than end=10"),
    ({"start": 1, "end": 0.1}, r"start=1 must be larger than 0, and less than end=0\.1"),
    ({"start": "x"}, "find_lr: start='x' must be a finite number"),
    ({"steps": 9}, "find_lr: steps=9 must be a whole number of at least 10"),
    ({"batch_size": 0}, "find_lr: batch_size=0"),
    ({"freeze": ["fcs"]}, "'fcs' is no part of Infinite"),
    ({}, "the loss is not finite at the smallest learning rate, start=1e-06, already"),
])
def test_bad_settings_are_named(settings, message):
    model = Infinite()
    with pytest.raises(ValueError, match=message):
        find_lr(model, optim.SGD(model.named_parameters(), 0.1), TRAIN_SET, **settings)


def test_what_is_no_model_or_no_set():
    model = net()
    optimizer = optim.SGD(model.named_parameters(), 0.1)
    with pytest.raises(TypeError, match=r"the model must be an nn\.Module"):
        find_lr(3, optimizer, TRAIN_SET)
    with pytest.raises(TypeError, match="train_set must be a data set"):
        find_lr(model, optimizer, [1])
    with pytest.raises(ValueError, match="no batches: 0 images"):
        find_lr(model, optimizer, ImageDataset(TRAIN_SET.images[:0], TRAIN_SET.labels[:0], TRAIN_SET.classes))
