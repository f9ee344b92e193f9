"""What is frozen, or was put in eval mode, does not learn in `fit`: neither weights nor running statistics."""

import numpy as np
import pytest
import toy_run
from test_resume import assert_same_end, killed_at

import minidl
import minidl.nn as nn
from minidl import Tensor
from minidl.io import CheckpointError
from minidl.optim import SGD, Adam
from minidl.train import Callback, evaluate, fit, in_order, predict
from minidl.train.freezing import Freezing, Modes, parts
from minidl.train.loop import Loop


class Net(nn.Module):
    """A body of two convolutions with batch norms, in a list and a dictionary, and a head."""

    def __init__(self):
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU())
        self.body = [nn.Conv2d(4, 4, 3), {"norm": nn.BatchNorm2d(4)}, nn.Dropout(0.2)]
        self.scale = nn.Parameter(np.ones(4, np.float32))
        self.head = nn.Linear(4 * 6 * 6, 10)

    def forward(self, x):
        conv, norms, dropout = self.body
        x = norms["norm"](conv(self.stem(x)), relu=True)
        return self.head(dropout(x.flatten(1)) * self.scale[0])


def net():
    minidl.manual_seed(7)
    return Net()


def train(folder, model, optimizer=SGD, **settings):
    momentum = {"momentum": 0.9, "weight_decay": 0.1} if optimizer is SGD else {}
    made = optimizer(model.named_parameters(), 0.05, **momentum)
    return fit(model, made, toy_run.TRAIN_SET, toy_run.VALIDATION_SET, output_dir=folder,
               **toy_run.SETTINGS | {"epochs": 2} | settings)


def moved(before, model):
    """The names of the tensors that are not the same to the bit."""
    return {name for name, array in model.state_dict().items() if array.tobytes() != before[name].tobytes()}


STEM = {"stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias", "stem.1.running_mean", "stem.1.running_var",
        "stem.1.num_batches_tracked"}
STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}


@pytest.mark.parametrize("settings", [
    {}, {"ema_decay": 0.9}, {"accumulate": 3}, {"optimizer": Adam}, {"drop_last": True},
])
def test_a_frozen_part_stays_to_the_bit(tmp_path, settings):
    model = net()
    before = model.state_dict()
    train(tmp_path, model, freeze="stem", **settings)
    assert moved(before, model) == set(before) - STEM
    assert all(p.requires_grad for p in model.parameters())     # restored
    assert all(module.training for _, module in model.named_modules())


@pytest.mark.parametrize(("freeze", "still"), [
    ("stem.1", {name for name in STEM if ".1." in name}),
    (["stem", "body"], {*STEM, "body.0.weight", "body.0.bias",
                        *(f"body.1.norm.{name}" for name in ("weight", "bias", *STATISTICS))}),
    (("body.1",), {f"body.1.norm.{name}" for name in ("weight", "bias", *STATISTICS)}),
    (["scale", "head.bias"], {"scale", "head.bias"}),
    ("stem.1.weight", {"stem.1.weight"}),
    ((), set()),
])
def test_names_of_parts(tmp_path, freeze, still):
    model = net()
    before = model.state_dict()
    train(tmp_path, model, freeze=freeze, epochs=1)
    assert moved(before, model) == set(before) - still


@pytest.mark.parametrize("settings", [{}, {"ema_decay": 0.9}])
def test_a_frozen_run_is_resumed_to_the_bit(tmp_path, monkeypatch, settings):
    settings = {**settings, "freeze": ["stem", "scale"]}
    straight = net()
    before = straight.state_dict()
    rows = train(tmp_path / "a", straight, **settings)
    original, calls = Loop.step, iter(range(100))

    def step(loop, images, labels):
        if next(calls) == 9:
            raise KeyError
        original(loop, images, labels)

    model = net()
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "step", step)
        with pytest.raises(KeyError):
            train(tmp_path / "b", model, checkpoint_interval=0, **settings)
    assert all(p.requires_grad for p in model.parameters())     # also after an error
    model = net()
    resumed = train(tmp_path / "b", model, resume=True, **settings)
    assert [row | {"seconds": 0} for row in rows] == [row | {"seconds": 0} for row in resumed]
    assert moved(straight.state_dict(), model) == set()
    assert moved(before, model) == set(before) - STEM - {"scale"}


def test_another_freeze_is_another_run(tmp_path):
    train(tmp_path, net(), freeze="stem", epochs=1)
    with pytest.raises(CheckpointError, match=r"started with freeze=\['stem'\] \(now \['head'\]\)"):
        train(tmp_path, net(), freeze="head", epochs=1, resume=True)
    with pytest.raises(CheckpointError, match=r"started with freeze=\['stem'\] \(now None\)"):
        train(tmp_path, net(), epochs=1, resume=True)


@pytest.mark.parametrize(("freeze", "message"), [
    ("stm", r"fit: freeze='stm' is no part of Net; there are, for example, stem"),
    ("stem.7", r"freeze='stem.7' is no part of Net; there are, for example, stem\.[012]"),
    (["stem", "body.1.norn"], r"freeze='body.1.norn' is no part of Net; there are, for example, body\.1\.norm"),
    ("st", r"freeze='st' is no part"),
    ("", r"freeze='' is no part"),
    (["stem", "body", "scale", "head"], "leaves nothing to train"),
])
def test_wrong_names_are_refused_before_anything_is_written(tmp_path, freeze, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", net(), freeze=freeze)
    assert not (tmp_path / "run").exists()


def test_names_must_be_names(tmp_path):
    with pytest.raises(TypeError, match=r"freeze=.* must be names of parts"):
        train(tmp_path, net(), freeze=[nn.ReLU()])


def test_parameters_that_were_frozen_before_stay_frozen(tmp_path):
    model = net()
    model.stem[0].requires_grad_(False)
    model.head.eval()
    with Freezing(model, {"stem": None, "head": None}):
        assert not any(p.requires_grad for p in (*model.stem.parameters(), *model.head.parameters()))
    assert [p.requires_grad for p in model.stem.parameters()] == [False, False, True, True]
    assert not model.head.training


def test_a_shared_part_is_frozen_under_each_of_its_names():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.Sequential(layer), nn.Linear(2, 2))
    for name in ("0", "1", "1.0", "1.0.weight"):
        assert layer.weight in parts(model, [name])[1][:1]


# Freezing in some epochs only

class Steps(Callback):
    """After each step: whether the stem has moved, and in which mode its batch norm is."""

    def __init__(self):
        self.seen = []

    def run_started(self, run):
        self.before = run.model.stem[0].weight.numpy().copy()

    def step_finished(self, run):
        moved = not np.array_equal(run.model.stem[0].weight.numpy(), self.before)
        self.seen.append((moved, run.model.stem[1].training))


@pytest.mark.parametrize("evaluated", [False, True])
def test_a_part_learns_after_its_epochs(tmp_path, evaluated):
    model, steps = net().train(not evaluated), Steps()
    train(tmp_path, model, freeze={"stem": 2, "scale": None}, epochs=3, callbacks=[steps])
    assert steps.seen == [(False, False)] * 2 * toy_run.STEPS + [(True, True)] * toy_run.STEPS
    assert all(p.requires_grad for p in model.parameters())
    assert all(module.training for _, module in model.named_modules())


def test_what_its_user_put_in_eval_mode_stays_in_it_when_it_learns(tmp_path):
    model, steps = net(), Steps()
    model.stem[1].eval()
    train(tmp_path, model, freeze={"stem": 1}, callbacks=[steps])
    assert steps.seen == [(False, False)] * toy_run.STEPS + [(True, False)] * toy_run.STEPS


@pytest.mark.parametrize("optimizer", [SGD, Adam])
@pytest.mark.parametrize("step", [9, 16])
def test_a_run_with_freezing_by_epoch_is_resumed_to_the_bit(tmp_path, step, optimizer):
    """Killed in the second of three epochs, in which the stem is frozen, or in the third, in which it is not."""
    settings = {"freeze": {"stem": 2, "head.bias": 1}, "epochs": 3, "ema_decay": 0.9, "optimizer": optimizer}
    train(tmp_path / "a", net(), **settings)
    with killed_at(Loop, "step", step):
        train(tmp_path / "b", net(), checkpoint_interval=0, **settings)
    train(tmp_path / "b", net(), resume=True, **settings)
    assert_same_end(tmp_path / "a", tmp_path / "b")
    with pytest.raises(CheckpointError, match=r"freeze=\{'stem': 2, 'head.bias': 1\} \(now \{'stem': 3"):
        train(tmp_path / "b", net(), resume=True, **settings | {"freeze": {"stem": 3, "head.bias": 1}})


@pytest.mark.parametrize("epochs", [0, -1, 1.5, "two", True])
def test_the_number_of_epochs_is_checked(tmp_path, epochs):
    with pytest.raises(ValueError, match=r"fit: freeze\['stem'\]=.* must be a whole number of at least 1"):
        train(tmp_path / "run", net(), freeze={"stem": epochs})


# Modes

def test_modules_in_eval_mode_stay_in_it(tmp_path, capsys):
    model = net()
    before = model.state_dict()
    model.stem[1].eval()
    train(tmp_path, model)
    assert "in eval mode, and left in it: stem.1\n" in capsys.readouterr().out
    assert [name for name, module in model.named_modules() if not module.training] == ["stem.1"]
    assert moved(before, model) == set(before) - {f"stem.1.{name}" for name in STATISTICS}


def test_a_model_that_is_all_in_eval_mode_is_trained(tmp_path, capsys):
    model = net().eval()
    before = model.state_dict()
    train(tmp_path, model)
    assert "left in it" not in capsys.readouterr().out
    assert moved(before, model) == set(before)
    assert all(module.training for _, module in model.named_modules())


def test_a_frozen_part_of_a_model_in_eval_mode(tmp_path):
    model = net().eval()
    before = model.state_dict()
    train(tmp_path, model, freeze="stem")
    assert moved(before, model) == set(before) - STEM
    still = {name for name, module in model.named_modules() if not module.training}
    assert still == {"stem", "stem.0", "stem.1", "stem.2"}


def test_an_overridden_train_is_honoured_in_each_epoch(tmp_path):
    class Thawing(Net):
        """Its batch norm is frozen in the first epoch, by PyTorch's usual idiom."""

        steps = 0

        def train(self, mode=True):
            super().train(mode)
            self.stem[1].train(mode and self.steps >= toy_run.STEPS)
            return self

        def forward(self, x):
            self.steps += self.training
            return super().forward(x)

    minidl.manual_seed(7)
    model, seen = Thawing(), []
    model.stem[1].register_forward_hook(lambda module, inputs, out: seen.append(module.training))
    train(tmp_path, model, epochs=3)
    training = [mode for mode in seen if mode]
    assert len(training) == 2 * toy_run.STEPS                   # not in the first epoch
    assert not any(seen[:toy_run.STEPS])


def test_modes_below_a_module_in_eval_mode():
    """The exact modes stay, whatever lies below what."""
    model = nn.Sequential(nn.Sequential(nn.Dropout(), nn.Sequential(nn.ReLU(), nn.ReLU())), nn.Dropout())
    model[0].eval()
    model[0][1].train()
    model[0][1][0].eval()
    before = [module.training for _, module in model.named_modules()]
    modes = Modes(model)
    for _ in range(2):
        modes.train()
        assert [module.training for _, module in model.named_modules()] == before


def test_an_overridden_train_below_hears_its_mode():
    """A module that switches something in `train` is told, not only marked."""
    class Noisy(nn.Module):
        noise = 1.0

        def train(self, mode=True):
            self.noise = float(mode)
            return super().train(mode)

    model = nn.Sequential(Noisy(), Noisy())
    model[0].eval()
    Modes(model).train()
    assert (model[0].noise, model[1].noise) == (0, 1)


class Merging(nn.Module):
    """Does in eval mode what it did in training mode, in another form, as merged low-rank adapters do."""

    def __init__(self):
        self.weight, self.change, self.merged = nn.Parameter([0.0]), nn.Parameter([1.0]), False

    def train(self, mode=True):
        if self.merged == mode:
            self.weight.data = self.weight.data + (-self.change.data if mode else self.change.data)
            self.merged = not mode
        return super().train(mode)

    def forward(self, x):
        return x * (self.weight if self.merged else self.weight + self.change)


def test_an_overridden_train_is_told_of_each_change_of_mode():
    model = nn.Sequential(Merging(), nn.Linear(1, 1).eval())
    evaluate(model, [(np.ones((2, 1), np.float32), np.zeros(2, int))], 1, loss=lambda logits, labels: logits.sum())
    assert (model[0].merged, model[0].weight.item(), model[0].training, model[1].training) == (False, 0, True, False)
    model.eval()
    predict(model, np.ones((2, 1), np.float32))
    assert (model[0].merged, model[0].weight.item()) == (True, 1)


def test_evaluation_restores_each_mode():
    model = net()
    model.stem.eval()
    model.stem[0].train()
    model.body[2].eval()
    before = {name: module.training for name, module in model.named_modules()}
    evaluate(model, in_order(toy_run.VALIDATION_SET), 10)
    predict(model, toy_run.DIGITS.batch(range(3))[0])
    predict(model, np.zeros((0, 1, 28, 28), np.float32))
    assert {name: module.training for name, module in model.named_modules()} == before


def test_what_requires_grad_alone_does_not_do():
    """The example of docs/freezing.md: the running statistics go on learning."""
    model = net()
    before = model.state_dict()
    model.stem.requires_grad_(False)
    model(Tensor(toy_run.DIGITS.batch(range(4))[0]))
    assert moved(before, model) == {f"{norm}.{name}" for norm in ("stem.1", "body.1.norm") for name in STATISTICS}
