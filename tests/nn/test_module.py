"""What belongs to a module, by which names, and how it is saved, frozen, copied and moved."""

import copy
import sys

import numpy as np
import pytest
import strict_array
from hypothesis import given

import minidl.nn as nn
from minidl import NonFiniteError, Tensor, detect_nonfinite
from minidl.testing.strategies import distinct_values, layouts, seeds


class Tree(nn.Module):
    """A module with everything that one may hold."""

    def __init__(self):
        self.scale = nn.Parameter(np.ones(2, np.float32))
        self.layers = [nn.Linear(2, 3), nn.Linear(3, 2, bias=False)]
        self.heads = {"a": nn.Linear(2, 1), "b": (nn.Linear(2, 4),)}
        self.mean = Tensor(np.zeros(2, np.float32))
        self.plain = Tensor([1.0, 2.0], requires_grad=True)
        self.table = np.zeros(5)
        self.name = "tree"
        self.nothing = None

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x * self.scale + self.plain - self.mean


NAMES = ["scale", "layers.0.weight", "layers.0.bias", "layers.1.weight", "heads.a.weight", "heads.a.bias",
         "heads.b.0.weight", "heads.b.0.bias", "mean", "plain"]


def test_names_follow_the_order_of_assignment():
    tree = Tree()
    assert list(tree.state_dict()) == NAMES
    assert [name for name, _ in tree.named_parameters()] == [name for name in NAMES if name != "mean"]
    assert tree.buffers() == [tree.mean]
    assert [name for name, _ in tree.named_modules()] == ["", "layers.0", "layers.1", "heads.a", "heads.b.0"]


def test_the_output_of_an_operation_does_not_belong():
    tree = Tree()
    tree.kept = tree(Tensor(np.ones((1, 2), np.float32)))
    assert list(tree.state_dict()) == NAMES


def test_a_shared_tensor_is_one_parameter_with_two_names():
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    model = nn.Sequential(first, second, first)
    assert model.parameters() == [first.weight]
    assert list(model.state_dict()) == ["0.weight", "1.weight", "2.weight"]
    assert [name for name, _ in model.named_modules()] == ["", "0", "1"]


def test_freezing_leaves_buffers_alone_and_can_be_undone():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    everything = model.parameters()
    x = Tensor(np.random.default_rng(0).standard_normal((4, 1, 1, 1)).astype(np.float32))
    assert model[1].requires_grad_(False) is model[1]
    assert model.parameters() == everything                     # a frozen parameter is still one
    model(x).sum().backward()
    assert [p.grad is None for p in everything] == [False, False, True, True, False, False]
    model.requires_grad_(True)
    assert all(p.requires_grad for p in everything)
    assert not any(b.requires_grad for b in model.buffers())
    assert len(model.buffers()) == 3


def test_zero_grad_clears_gradients_and_skips_frozen_parameters():
    model = nn.Linear(2, 2)
    model.bias.requires_grad = False
    model(Tensor(np.ones((1, 2), np.float32))).sum().backward()
    assert model.weight.grad is not None
    model.zero_grad()
    assert model.weight.grad is None


def test_train_and_eval_reach_every_module():
    tree = Tree()
    assert tree.eval() is tree
    assert not any(module.training for _, module in tree.named_modules())
    tree.layers[0].train()
    assert [module.training for _, module in tree.named_modules()] == [False, True, False, False, False]


def test_state_dict_is_a_copy_in_c_order():
    model = nn.Conv2d(2, 3, 2)
    state = model.state_dict()
    assert all(type(a) is np.ndarray and a.flags.c_contiguous for a in state.values())
    model.weight.data[...] = 0
    assert state["weight"].any()
    assert nn.BatchNorm2d(2).state_dict()["num_batches_tracked"].shape == ()


@given(kept=layouts, given=layouts, seed=seeds)
def test_loading_keeps_the_memory_order(kept, given, seed):
    mine, theirs = distinct_values((3, 2, 2, 4), (3, 2, 2, 4), seed=seed)
    model = nn.Module()
    model.weight = nn.Parameter(kept(mine.astype(np.float32)))
    array = model.weight.data
    model.load_state_dict({"weight": given(theirs)})
    assert model.weight.data is array
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, theirs.astype(np.float32))


def test_a_state_loads_into_another_model_and_back():
    first, second = Tree(), Tree()
    strides = second.layers[0].weight.data.strides
    assert second.load_state_dict(first.state_dict()) == ([], [])
    assert second.layers[0].weight.data.strides == strides
    for name, array in second.state_dict().items():
        np.testing.assert_array_equal(array, first.state_dict()[name])
    tensors = {name: Tensor(array) for name, array in first.state_dict().items()}
    second.load_state_dict(tensors)


def test_a_state_that_does_not_fit_is_reported_in_full_and_changes_nothing():
    model = Tree()
    before = model.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    del state["scale"]
    state |= {"extra": np.ones(1), "mean": np.ones(3), "plain": np.ones(2, complex)}
    with pytest.raises(ValueError, match="Tree") as error:
        model.load_state_dict(state)
    for fault in ("scale is missing", "extra is unexpected", "mean has the shape (3,), not (2,)",
                  "plain has the dtype complex128, not float32"):
        assert fault in str(error.value)
    with pytest.raises(ValueError, match="mean has the shape"):
        model.load_state_dict(state, strict=False)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_counts_of_a_state_that_was_saved_in_another_precision(dtype):
    model = nn.BatchNorm1d(2)
    state = {name: (array + 3).astype(dtype) for name, array in model.state_dict().items()}
    model.load_state_dict(state)
    assert (model.num_batches_tracked.dtype, model.num_batches_tracked.item()) == (np.int64, 3)
    for count in (0.5, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"num_batches_tracked has the dtype {np.dtype(dtype)}, not int64"):
            model.load_state_dict({**state, "num_batches_tracked": np.array(count, dtype)})


def test_without_strict_what_fits_is_loaded_and_the_rest_returned():
    model = nn.Linear(2, 1)
    assert model.load_state_dict({"bias": [5.0], "other": [1.0]}, strict=False) == (["weight"], ["other"])
    assert model.bias.item() == 5


def test_to_a_dtype_that_weights_cannot_have():
    model = nn.Linear(2, 2)
    for dtype in (int, bool, "float16"):
        with pytest.raises(TypeError, match="float"):
            model.to(dtype=dtype)
        assert model.weight.dtype == np.float32
        assert model.weight.requires_grad


def test_to_another_dtype_and_back():
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3))
    weight = model[0].weight
    weight.requires_grad = False
    order = np.argsort(weight.data.strides)
    assert model.to(dtype=np.float64) is model
    assert {str(t.dtype) for t in model.parameters()} == {"float64"}
    assert model[1].num_batches_tracked.dtype == np.int64
    np.testing.assert_array_equal(np.argsort(weight.data.strides), order)
    model(Tensor(np.random.default_rng(0).standard_normal((2, 2, 3, 3)))).sum().backward()
    assert not weight.requires_grad
    gradient = model[0].bias.grad
    assert gradient.dtype == np.float64
    model.to("cpu")
    assert model[0].bias.grad is gradient                       # nothing moved, nothing lost


def test_to_another_device(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", strict_array)
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)).to("gpu")
    assert all(isinstance(t.data, strict_array.ndarray) for t in model.parameters() + model.buffers())
    images = np.random.default_rng(0).standard_normal((3, 1, 3, 3)).astype(np.float32)
    model(Tensor(images, device="gpu")).sum().backward()
    assert all(isinstance(p.grad, strict_array.ndarray) for p in model.parameters())
    state = model.state_dict()
    assert all(type(a) is np.ndarray for a in state.values())
    assert state["1.num_batches_tracked"] == 1
    model.load_state_dict({name: array * 0 for name, array in state.items()})
    assert not model[3].weight.numpy().any()


def test_to_an_unknown_device():
    with pytest.raises(ValueError, match="'tpu'"):
        nn.Linear(1, 1).to("tpu")


def test_a_deep_copy_is_independent():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    twin = copy.deepcopy(model)
    x = Tensor(np.array([[1, 2], [3, 5]], np.float32))
    model(x).sum().backward()
    model[0].weight.data[...] = 0
    assert twin[0].weight.data.any()
    assert twin[0].weight.grad is None
    assert twin[1].num_batches_tracked.item() == 0
    assert twin[0].weight.data.strides == model[0].weight.data.strides


def test_a_nonfinite_output_names_the_innermost_module():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(1, 1)))
    model[1][0].weight.data[...] = np.inf
    with detect_nonfinite(), pytest.raises(NonFiniteError) as error:
        model(Tensor(np.ones((1, 1), np.float32)))
    assert error.value.module is model[1][0]


def test_a_module_without_forward():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


def test_settings_reach_forward():
    class Scaled(nn.Module):
        def forward(self, x, *, by=1):
            return x * by

    assert Scaled()(Tensor([2.0]), by=3).item() == 6


def test_print_shows_the_tree():
    assert repr(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU()))) == (
        "Sequential(\n"
        "  (0): Linear(2, 3)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")")
    assert "(heads.b.0): Linear(2, 4)" in repr(Tree())


def test_sequential_is_a_list_of_layers():
    layers = [nn.ReLU(), nn.Tanh(), nn.Identity()]
    model = nn.Sequential(*layers).eval()
    assert len(model) == 3
    assert list(model) == layers
    assert model[-1] is layers[2]
    assert list(model[:2]) == layers[:2]
    x = Tensor([-1.0])
    assert nn.Sequential()(x) is x
    with pytest.raises(TypeError, match="layer 1 is a function"):
        nn.Sequential(nn.ReLU(), lambda x: x)
