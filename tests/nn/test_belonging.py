"""What a call leaves on a module does not belong to it; what it was built with, or registered since, does."""

import abc
import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest

import minidl.functional as F
import minidl.nn as nn
from minidl import Tensor, io, no_grad
from minidl.summary import summary

X = np.random.default_rng(0).standard_normal((3, 1, 8, 8)).astype(np.float32)
NAMES = ["table", "conv.weight", "conv.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var",
         "norm.num_batches_tracked", "fc.weight", "fc.bias"]


class Keeper(nn.Module):
    """A network whose every call leaves tensors in all the places where a module may hold one."""

    def __init__(self):
        self.table = Tensor(np.ones(4, np.float32))
        self.conv, self.norm, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(256, 3)
        self.input = self.features = None
        self.outputs, self.kept, self.pair = [], {}, (None, None)

    def forward(self, x):
        self.input = x
        self.features = self.norm(self.conv(x))
        self.conv.last = self.features
        self.outputs.append(self.features)
        self.kept["features"], self.kept["deep"] = self.features, [{"x": x}]
        self.pair = (x, self.features)
        return self.fc((self.features * self.table[0]).flatten(1))


def called(model, grad=True, requires_grad=False):
    """The model after a call, as a user may make it."""
    x = Tensor(X.copy(), requires_grad=requires_grad)
    if grad:
        model.output = model(x)
    else:
        with no_grad():
            model.output = model(x)
    return model


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def assert_only_its_own(model):
    assert list(model.state_dict()) == NAMES
    buffers = ["table", *NAMES[5:8]]
    assert [name for name, _ in model.named_parameters()] == [name for name in NAMES if name not in buffers]
    assert [name for name, _ in model.named_buffers()] == buffers
    assert len(model.buffers()) == 4


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("mode", [True, False])
def test_what_a_call_leaves_behind(grad, requires_grad, mode):
    model = called(Keeper().train(mode), grad, requires_grad)
    assert_only_its_own(model)
    features = model.features
    model.to(dtype=np.float64)
    assert model.features is features
    assert features.dtype == np.float32                          # nor does it move
    assert {t.dtype for t in (*model.parameters(), model.table, model.norm.running_mean)} == {np.dtype(np.float64)}
    model.to(dtype=np.float32)
    assert model.load_state_dict(Keeper().state_dict()) == ([], [])
    assert Keeper().load_state_dict(model.state_dict()) == ([], [])


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickled])
def test_also_in_copies(how):
    twin = how(called(Keeper(), grad=False, requires_grad=True))
    assert_only_its_own(twin)
    model = called(Keeper())                                    # recorded: the copy has it without the graph
    twin = how(model)
    assert_only_its_own(twin)
    np.testing.assert_array_equal(twin.features.data, model.features.data)
    assert not twin.features.requires_grad
    assert model.features.requires_grad
    assert twin.kept["deep"][0]["x"].is_leaf
    assert_only_its_own(called(twin, grad=False))
    assert_only_its_own(called(how(Keeper())))


def test_also_in_a_loaded_model(tmp_path):
    io.save_model(tmp_path / "model.safetensors", called(Keeper(), grad=False))
    model = io.load_model(tmp_path / "model.safetensors", create=lambda: called(Keeper(), grad=False))
    assert_only_its_own(called(model, grad=False))


def test_also_in_the_summary_and_below_another_module():
    whole, plain = called(Keeper(), grad=False), nn.Sequential(Keeper())
    assert str(summary(nn.Sequential(whole), (1, 8, 8))) == str(summary(plain, (1, 8, 8)))
    assert list(nn.Sequential(whole).state_dict()) == [f"0.{name}" for name in NAMES]


def test_what_a_hook_or_the_caller_leaves_behind():
    model = Keeper()
    model.fc.register_forward_hook(lambda module, inputs, out: setattr(module, "seen", (inputs, out)))
    model.conv.register_forward_pre_hook(lambda module, inputs: setattr(module, "seen", inputs[0]))
    model.norm.mask = Tensor(np.ones(4, np.float32))
    model.norm.saliency = Tensor(np.ones(4, np.float32), requires_grad=True)
    assert_only_its_own(called(model, grad=False))


def test_a_bare_module_and_one_without_an_init():
    class Empty(nn.Module):
        def forward(self, x):
            self.x = x
            return x

    for model in (nn.Module(), Empty(), nn.ReLU()):
        model.x = Tensor([1.0])
        model.layer, model.scale = nn.Linear(1, 1), nn.Parameter([1.0])
        assert list(model.state_dict()) == ["layer.weight", "layer.bias", "scale"]


def test_a_subclass_and_a_mixin():
    class Mixin:
        def __init__(self, **settings):
            super().__init__(**settings)
            self.mixed = Tensor([2.0])

    class Deeper(Mixin, Keeper):
        pass

    class Deepest(Deeper):
        def __init__(self):
            super().__init__()
            self.late = Tensor([3.0])

    assert set(called(Deeper(), grad=False).state_dict()) == {*NAMES, "mixed"}
    assert set(called(Deepest(), grad=False).state_dict()) == {*NAMES, "mixed", "late"}


def test_classes_of_other_makes():
    """A dataclass, whose `__init__` comes after the class, and an abstract class."""
    @dataclasses.dataclass(eq=False)
    class Data(nn.Module):
        layer: nn.Linear
        scale: Tensor
        kept: object = None

        def forward(self, x):
            self.kept = self.layer(x) * self.scale
            return self.kept

    class Base(nn.Module, abc.ABC):
        @abc.abstractmethod
        def forward(self, x): ...

    class Derived(Base):
        def forward(self, x):
            self.kept = x
            return x

    data = Data(nn.Linear(2, 2), Tensor([2.0]))
    for model, names in ((data, ["layer.weight", "layer.bias", "scale"]), (Derived(), [])):
        with no_grad():
            model(Tensor(np.ones((1, 2), np.float32)))
        assert list(model.state_dict()) == names
    with pytest.raises(TypeError, match="abstract"):
        Base()


def test_the_signature_of_a_layer_is_that_of_its_init():
    assert list(inspect.signature(nn.Linear).parameters) == ["in_features", "out_features", "bias"]


def test_what_is_there_while_it_is_built():
    """Within `__init__`, all tensors so far belong: it may load or move itself."""
    class Doubled(nn.Module):
        def __init__(self):
            self.weight, self.mean = nn.Parameter([1.0]), Tensor([2.0])
            self.load_state_dict({"weight": [3.0], "mean": [4.0]})
            self.to(dtype=np.float64)

    model = Doubled()
    assert (model.weight.item(), model.mean.item(), model.mean.dtype) == (3, 4, np.float64)


def test_a_parameter_that_is_no_parameter_stays_one_while_it_is_frozen():
    class Scaled(nn.Module):
        def __init__(self):
            self.scale, self.mean = Tensor([1.0], requires_grad=True), Tensor([0.0])

    model = nn.Sequential(Scaled())
    for module in (model, copy.deepcopy(model)):
        assert module.requires_grad_(False).parameters() == [module[0].scale]
        assert module.buffers() == [module[0].mean]
        assert module.requires_grad_(True)[0].scale.requires_grad
        assert not module[0].mean.requires_grad
    model[0].mean.requires_grad = True                          # now it is trained, too
    assert len(model.parameters()) == 2


def test_a_name_that_belongs_may_get_another_tensor():
    model = Keeper()
    model.table = Tensor(np.zeros(4, np.float32))
    model.norm.running_mean = Tensor(np.full(4, 5, np.float32))
    model.norm.weight = F.exp(nn.Parameter(np.zeros(4, np.float32)))        # the output of a recorded operation
    state = model.state_dict()
    assert sorted(state) == sorted(NAMES)
    assert (state["table"][0], state["norm.running_mean"][0], state["norm.weight"][0]) == (0, 5, 1)
    assert "norm.weight" not in dict(model.named_parameters())
    assert model.to(dtype=np.float64).norm.weight.dtype == np.float64


# register_buffer

def test_a_registered_buffer():
    model = nn.Linear(2, 2)
    model.register_buffer("mean", Tensor(np.ones(2, np.float32)))
    model.register_buffer("scratch", Tensor(np.ones(2, np.float32)), persistent=False)
    model.register_buffer("later", None)
    for module in (model, copy.deepcopy(model), pickled(model), copy.copy(model)):
        assert list(module.state_dict()) == ["weight", "bias", "mean"]
        assert [name for name, _ in module.named_buffers()] == ["mean", "scratch"]
        assert [name for name, _ in module.named_parameters()] == ["weight", "bias"]
    model.later = Tensor(np.ones(3, np.float32))
    assert list(model.state_dict()) == ["weight", "bias", "mean", "later"]
    model.to(dtype=np.float64)
    assert {t.dtype for t in (model.mean, model.scratch, model.later)} == {np.dtype(np.float64)}
    assert model.load_state_dict(model.state_dict()) == ([], [])
    model.mean = None
    assert list(model.state_dict()) == ["weight", "bias", "later"]


def test_a_buffer_registered_while_the_module_is_built():
    class Scaled(nn.Module):
        def __init__(self):
            self.before = Tensor([1.0])
            self.register_buffer("scale", Tensor([2.0], requires_grad=True))
            self.register_buffer("hidden", Tensor([3.0]), persistent=False)
            self.register_buffer("none", None)
            assert [name for name, _ in self.named_buffers()] == ["before", "scale", "hidden"]

    model = nn.Sequential(Scaled())
    assert list(model.state_dict()) == ["0.before", "0.scale"]
    assert model.parameters() == []
    model[0].none = Tensor([4.0])
    assert "0.none" in model.state_dict()


def test_a_shared_copy_does_not_register_for_the_original():
    model = nn.Linear(1, 1)
    twin = copy.copy(model)
    twin.register_buffer("extra", Tensor([1.0]))
    assert list(model.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize(("name", "tensor", "error", "message"), [
    ("a.b", Tensor([1.0]), ValueError, "must be a word without dots, not 'a.b'"),
    ("", Tensor([1.0]), ValueError, "must be a word without dots, not ''"),
    (3, Tensor([1.0]), ValueError, "must be a word without dots, not 3"),
    ("weight", Tensor([1.0]), ValueError, "Linear: there is already an attribute 'weight'"),
    ("forward", Tensor([1.0]), ValueError, "there is already an attribute 'forward'"),
    ("mean", np.ones(1), TypeError, r"the buffer 'mean' must be a Tensor or None, not ndarray; write Tensor\(array\)"),
])
def test_wrong_buffers_are_named(name, tensor, error, message):
    with pytest.raises(error, match=message):
        nn.Linear(1, 1).register_buffer(name, tensor)


@pytest.mark.parametrize("persistent", [True, False])
def test_buffers_against_pytorch(persistent):
    torch = pytest.importorskip("torch")
    ours, theirs = nn.Module(), torch.nn.Module()
    ours.register_buffer("a", Tensor([1.0]), persistent=persistent)
    theirs.register_buffer("a", torch.ones(1), persistent=persistent)
    for model, tensor in ((ours, Tensor([2.0])), (theirs, torch.ones(1))):
        model.register_buffer("b", None)
        model.b = tensor
        model.left = tensor
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_buffers()] == [name for name, _ in theirs.named_buffers()]


# train and eval

def test_an_overridden_train_is_honoured():
    class FrozenNorm(nn.BatchNorm2d):
        def train(self, mode=True):
            return super().train(False)

    class Net(nn.Module):
        def __init__(self):
            self.body = [nn.Conv2d(1, 2, 1), FrozenNorm(2)]
            self.head = {"a": nn.Dropout(), "b": nn.Sequential(nn.ReLU())}
            self.calls = []

        def train(self, mode=True):
            self.calls.append(mode)
            return super().train(mode)

    model = nn.Sequential(Net())
    assert model.train() is model
    assert [m.training for _, m in model.named_modules()] == [True, True, True, False, True, True, True]
    assert model.eval() is model
    assert not any(m.training for _, m in model.named_modules())
    assert model[0].calls == [True, False]
