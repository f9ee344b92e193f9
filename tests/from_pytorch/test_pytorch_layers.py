"""Losses as modules, containers, initialisers in place, utilities and new tensors."""

import math

import numpy as np
import pytest

import minidl
import minidl.torch as torch
import minidl.torch.nn as nn
from minidl import Tensor

F = nn.functional
SCORES, LABELS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), np.array([0, 2, 1, 0])
CHANCES = (1 / (1 + np.exp(-SCORES))).astype(np.float32)
LOSSES = [
    ("CrossEntropyLoss", {"weight": [1.0, 2, 3], "label_smoothing": 0.1}, SCORES, LABELS),
    ("NLLLoss", {"weight": [1.0, 2, 3], "reduction": "sum"}, SCORES, LABELS),
    ("BCEWithLogitsLoss", {"pos_weight": [1.0, 2, 3]}, SCORES, CHANCES),
    ("BCELoss", {"reduction": "none"}, CHANCES, CHANCES),
    ("BCELoss", {"weight": [1.0, 2, 3]}, np.round(CHANCES), CHANCES),
    ("MSELoss", {}, SCORES, CHANCES),
    ("L1Loss", {"reduction": "sum"}, SCORES, CHANCES),
    ("SmoothL1Loss", {"beta": 0.5}, SCORES, CHANCES),
]


@pytest.mark.parametrize(("name", "settings", "x", "target"), LOSSES)
def test_losses(name, settings, x, target):
    pytorch = pytest.importorskip("torch")
    values = []
    for library in (torch, pytorch):
        given = {key: library.tensor(value) if isinstance(value, list) else value for key, value in settings.items()}
        loss = getattr(library.nn, name)(**given)
        values.append(np.asarray(loss(library.from_numpy(x), library.from_numpy(target))))
    np.testing.assert_allclose(*values, rtol=1e-5)


def test_a_weight_belongs_to_its_loss_and_is_not_saved():
    loss = nn.CrossEntropyLoss(weight=torch.ones(3)).double()
    assert loss.weight.dtype == np.float64
    assert loss.state_dict() == {}
    assert "label_smoothing=0.0" in repr(loss)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 3)])
        self.heads = nn.ModuleDict({"a": nn.Linear(3, 1), "b": nn.Linear(3, 2)})
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(3))])
        self.register_parameter("shift", nn.Parameter(torch.zeros(3)))
        self.register_parameter("none", None)
        self.add_module("relu", nn.ReLU(inplace=True))

    def forward(self, x):
        for layer in self.layers:
            x = self.relu(layer(x))
        return self.heads["b"](x * self.scales[0] + self.shift)


def test_containers_have_pytorchs_names():
    pytorch = pytest.importorskip("torch")
    net = Net()
    theirs = pytorch.nn.Module()
    theirs.layers = pytorch.nn.ModuleList([pytorch.nn.Linear(2, 2), pytorch.nn.Linear(2, 3)])
    theirs.heads = pytorch.nn.ModuleDict({"a": pytorch.nn.Linear(3, 1), "b": pytorch.nn.Linear(3, 2)})
    theirs.scales = pytorch.nn.ParameterList([pytorch.nn.Parameter(pytorch.ones(3))])
    theirs.register_parameter("shift", pytorch.nn.Parameter(pytorch.zeros(3)))
    assert set(net.state_dict()) == set(theirs.state_dict())
    assert net(torch.ones(4, 2)).shape == (4, 2)
    assert [name for name, _ in net.named_children()] == ["layers", "heads", "scales", "relu"]
    assert len(list(net.modules())) == 9


def test_lists_of_modules():
    layers = nn.ModuleList([nn.ReLU()])
    layers.append(nn.Tanh()).extend([nn.Sigmoid(), nn.Flatten()])
    layers.insert(1, nn.Identity())
    layers[-1] = nn.Dropout()
    assert [type(layer).__name__ for layer in layers] == ["ReLU", "Identity", "Tanh", "Sigmoid", "Dropout"]
    assert [type(layer).__name__ for layer in layers[1:3]] == ["Identity", "Tanh"]
    assert len(layers) == 5
    named = nn.ModuleDict([("a", nn.ReLU())])
    named["b"] = nn.Tanh()
    assert (list(named), len(named), "a" in named, named.keys()) == (["a", "b"], 2, True, ["a", "b"])
    for call in (lambda: layers.append(5), lambda: nn.ParameterList([torch.ones(1)]), lambda: nn.Module().add_module(
            "x", 5), lambda: nn.Module().register_parameter("x", torch.ones(1))):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="cannot be called 'forward'"):
        named["forward"] = nn.ReLU()


def test_sequential_of_named_layers():
    net = nn.Sequential({"conv": nn.Linear(2, 3), "relu": nn.ReLU()}).append(nn.Linear(3, 1))
    assert [name for name, _ in net.named_children()] == ["conv", "relu", "2"]
    assert net(torch.ones(1, 2)).shape == (1, 1)
    with pytest.raises(ValueError, match="cannot be called 'forward'"):
        nn.Sequential({"forward": nn.ReLU()})
    with pytest.raises(TypeError, match="the layer to append"):
        net.append(5)


def test_apply_visits_children_first():
    seen = []
    nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU())).apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


def test_initialisers():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.empty(200, 100))
    init = nn.init
    bounds = {"kaiming_uniform_": (math.sqrt(6 / 100), math.sqrt(2 / 100)),
              "xavier_uniform_": (math.sqrt(6 / 300), math.sqrt(2 / 300)), "uniform_": (1, None)}
    for name, (bound, deviation) in bounds.items():
        assert getattr(init, name)(weight) is weight
        assert abs(weight.data).max() <= bound
        assert deviation is None or abs(weight.data.std() / deviation - 1) < 0.02
    for function, deviation in ((init.kaiming_normal_, math.sqrt(2 / 100)), (init.xavier_normal_, math.sqrt(2 / 300))):
        assert abs(function(weight).data.std() / deviation - 1) < 0.02
    assert abs(init.normal_(weight, 2, 0.5).data.mean() - 2) < 0.02
    assert abs(init.trunc_normal_(weight, std=0.5, a=-0.6, b=0.6).data).max() <= 0.6
    assert init.constant_(weight, 3).data.min() == 3
    assert init.eye_(weight).data.sum() == 100
    assert init.ones_(weight).data.sum() == 20000
    assert not init.zeros_(weight).data.any()
    conv = nn.Conv2d(3, 3, 3)
    assert init.dirac_(conv.weight).data.sum() == 3
    with pytest.raises(TypeError, match="give a tensor, such as layer"):
        init.zeros_(weight.data)
    with pytest.raises(ValueError, match="trunc_normal_"):
        init.trunc_normal_(weight, a=10, b=11)


def test_utilities():
    net = nn.Linear(2, 2)
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (6,)
    nn.utils.vector_to_parameters(torch.arange(6).float(), net.parameters())
    assert net.bias.data.tolist() == [4, 5]
    net(torch.ones(1, 2)).sum().backward()
    nn.utils.clip_grad_value_(net.parameters(), 0.5)
    assert net.weight.grad.max() == 0.5
    assert nn.utils.clip_grad_norm_(net.parameters(), 1.0).item() == pytest.approx(math.sqrt(6) / 2)
    net.weight.grad = np.full((2, 2), np.nan, np.float32)
    with pytest.raises(RuntimeError, match="the length of the gradients"):
        nn.utils.clip_grad_norm_(net.parameters(), 1.0, error_if_nonfinite=True)
    with pytest.raises(ValueError, match="norm_type=1"):
        nn.utils.clip_grad_norm_(net.parameters(), 1.0, norm_type=1)


def test_batch_norm_takes_running_statistics():
    pytorch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(4, 3, 2, 2)).astype(np.float32)
    for training in (True, False):
        results = []
        for library in (torch, pytorch):
            mean, var = library.zeros(3), library.ones(3)
            out = library.nn.functional.batch_norm(library.from_numpy(x), mean, var, library.ones(3),
                                                   library.zeros(3), training, 0.2)
            results.append([np.asarray(v) for v in (out, mean, var)])
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_new_tensors_have_pytorchs_dtypes():
    pytorch = pytest.importorskip("torch")
    array = np.ones(2)
    for make in (lambda t: t.tensor([1, 2]), lambda t: t.tensor([1.0]), lambda t: t.tensor(True),
                 lambda t: t.tensor([]), lambda t: t.tensor(array), lambda t: t.tensor([1, 2], dtype=t.float64),
                 lambda t: t.full((2,), 3),
                 lambda t: t.full((2,), 3.0), lambda t: t.full((1,), True), lambda t: t.arange(3),
                 lambda t: t.arange(3.0), lambda t: t.zeros(2, dtype=t.long), lambda t: t.as_tensor([1.5]),
                 lambda t: t.ones_like(t.arange(3)), lambda t: t.linspace(0, 1, 3), lambda t: t.randint(3, (2,)),
                 lambda t: t.randperm(3), lambda t: t.tensor([[1, 2], [3, 4]]), lambda t: t.empty(0)):
        ours, theirs = make(torch), make(pytorch).numpy()
        assert isinstance(ours, Tensor)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)


def test_memory_of_new_tensors():
    array = np.ones(2)
    assert torch.from_numpy(array).data is array
    assert torch.tensor(array).data is not array
    with pytest.raises(TypeError, match="expected an array of NumPy, not list"):
        torch.from_numpy([1])


def test_seeds_and_generators():
    torch.manual_seed(3)
    first = torch.randn(4)
    minidl.manual_seed(3)
    assert torch.equal(torch.randn(4), first)
    draws = [torch.randn(4, generator=torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*draws)
    assert torch.Generator().manual_seed(5).initial_seed() == 5


def test_questions():
    x = torch.tensor([1.0, 2])
    assert torch.allclose(x, x + 1e-7)
    assert not torch.equal(x, x[:1])
    assert torch.is_tensor(x)
    assert torch.numel(x) == 2
    assert torch.any(x > 1)
    assert not torch.all(x > 1)
    assert torch.is_grad_enabled()
    with torch.no_grad():
        assert not torch.is_grad_enabled()


def test_devices():
    assert str(torch.device("cpu")) == torch.device("cpu").type == "cpu"
    assert torch.cuda.device_count() >= int(torch.cuda.is_available())
    assert torch.zeros(2, device=torch.device("cpu")).device.kind == "cpu"
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.manual_seed_all(0)


def test_nothing_else_imports_this_room():
    """It is for users; the engine goes on using its own names."""
    from pathlib import Path

    root = Path(minidl.__file__).parent
    files = [path for path in root.rglob("*.py") if "torch" not in path.relative_to(root).parts[:1]]
    assert [path for path in files if "minidl.torch" in path.read_text(encoding="utf-8")
            and path.name != "missing.py"] == []


def test_a_tensor_is_not_made_of_sizes():
    with pytest.raises(TypeError, match="requires_grad=4 must be True or False"):
        torch.Tensor(3, 4)
