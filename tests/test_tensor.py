"""Tensors: how they are made, their properties, and how they work with NumPy and other libraries."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import strict_array

import minidl.functional as F
from minidl import Tensor, writes
from minidl.tensor import op


@pytest.mark.parametrize(("data", "dtype"), [
    (2, np.float32), (2.5, np.float32), ([1, 2], np.float32), ([[1.5], [2]], np.float32), ((1, 2), np.float32),
    (True, bool), ([True, False], bool), (range(3), np.float32), ([], np.float32),
    (np.ones(2), np.float64), (np.ones(2, int), np.int64), (np.float64(2), np.float64), (np.ones(2) > 0, bool),
])  # fmt: skip
def test_numbers_become_float32_and_arrays_keep_their_dtype(data, dtype):
    assert Tensor(data).dtype == dtype
    assert Tensor(data, dtype=np.int16).dtype == np.int16


def test_the_data_of_arrays_and_tensors_is_shared():
    array = np.ones(3)
    assert Tensor(array).data is array
    assert Tensor(Tensor(array)).data is array
    assert Tensor(array).numpy() is array
    assert Tensor(array).detach().data is array


def test_arrays_of_other_libraries_are_accepted():
    torch = pytest.importorskip("torch")
    x = Tensor(torch.ones(2, 3))
    assert isinstance(x.data, np.ndarray)
    assert x.dtype == np.float32


@pytest.mark.parametrize("data", ["text", None, object(), [1j], ["a"]])
def test_data_that_are_not_numbers(data):
    with pytest.raises(TypeError, match=r"^a tensor needs numbers, not "):
        Tensor(data)


@pytest.mark.parametrize("data", [np.array(["1"]), np.array([1], object), np.ones(1, complex), ["1"]], ids=repr)
def test_a_dtype_does_not_make_numbers_of_them(data):
    with pytest.raises(TypeError, match=r"a tensor needs numbers, not "):
        Tensor(data, dtype=np.float32)


def test_setting_the_data():
    """What is set is made an array as in Tensor(...): a NumPy calculation without axes gives a scalar, for example."""
    x = Tensor(np.array(3, np.float32), requires_grad=True)
    before, x.grad = x.node, np.ones((), np.float32)
    x.data = x.data * 2
    assert type(x.data) is np.ndarray
    assert x.node is before
    (x * x).backward()
    assert x.grad == 13
    array = np.ones(3, np.float32)
    x.data = array
    assert x.data is array
    x.data = Tensor(array)
    assert x.data is array
    for bad in ("text", np.ones(2, np.float16), np.ones(2, int)):
        with pytest.raises(TypeError):
            x.data = bad
        assert x.data is array


def test_a_leaf_that_gets_another_shape_or_dtype_is_differentiated_in_it():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    x.data = np.full(3, 2.0)
    (x * x).sum().backward()
    assert x.grad.dtype == np.float64
    assert x.grad.tolist() == [4, 4, 4]


@pytest.mark.parametrize("function", [F.exp, F.sum, F.relu, lambda x: F.clamp(x, min=0), lambda x: F.mul(x, 2)])
@pytest.mark.parametrize("number", [1, 1.5, np.float64(1.5)])
def test_numbers_alone_are_float32(function, number):
    assert function(number).dtype == np.float32


@pytest.mark.parametrize(("call", "words"), [
    (lambda x: F.add(x, (1, 2)), "add: a tuple is neither a Tensor nor an array nor a number"),
    (lambda x: x * (1, 2), "mul: a tuple is neither"),
    (lambda x: (1, 2) - x, "sub: a tuple is neither"),
    (lambda x: x < (1, 2), "lt: a tuple is neither"),
    (lambda x: F.relu((1.0, 2.0)), "relu: a tuple is neither"),
    (lambda x: F.mse_loss(x, (1.0, 2.0)), "mse_loss: a tuple is neither"),
    (lambda x: F.mse_loss(x, None), "mse_loss: None is given for an input that must be a Tensor or an array"),
    (lambda x: F.linear(x, 2.5), "linear: 2.5 is given for an input that must be"),
    (lambda x: F.conv2d(None, x), "conv2d: None is given for"),
])
def test_inputs_that_are_no_arrays(call, words):
    with pytest.raises(TypeError, match=f"^{words}"):
        call(Tensor(np.ones(2, np.float32)))


def test_properties():
    x = Tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    assert (x.shape, x.dtype, x.ndim, x.numel(), str(x.device), len(x)) == ((2, 3), np.float32, 2, 6, "cpu", 2)
    assert (x.is_leaf, x.requires_grad, x.grad) == (True, True, None)
    y = x * 2
    assert (y.is_leaf, y.requires_grad, y.grad) == (False, True, None)
    assert (y.detach().is_leaf, y.detach().requires_grad) == (True, False)


def test_reductions_give_arrays_without_axes():
    """NumPy's sums are scalars; a tensor always holds an array."""
    for out in (Tensor(np.ones(3)).sum(), Tensor(np.ones(3))[0], Tensor(np.float32(1)) + 1):
        assert isinstance(out.data, np.ndarray)
        assert out.shape == ()


@pytest.mark.parametrize("dtype", [int, bool, np.uint8])
def test_only_floats_can_require_a_gradient(dtype):
    with pytest.raises(TypeError, match=r"^only floating-point tensors can require a gradient, not "):
        Tensor(np.ones(2, dtype), requires_grad=True)


def test_requires_grad_can_be_set_on_leaves_only():
    x = Tensor(np.ones(2))
    x.requires_grad = True
    (x * 2).sum().backward()
    x.requires_grad = True                            # no change: the gradient stays
    assert x.grad.tolist() == [2, 2]
    x.requires_grad = False
    assert x.grad is None
    y = Tensor(np.ones(2), requires_grad=True) * 2
    with pytest.raises(RuntimeError, match=r"^requires_grad can be set on leaves only; this is the output of mul"):
        y.requires_grad = False


def test_setting_a_gradient():
    x = Tensor(np.ones(2), requires_grad=True)
    x.grad = np.zeros(2)
    (3 * x).sum().backward()
    assert x.grad.tolist() == [3, 3]
    x.grad = None
    assert x.grad is None
    with pytest.raises(ValueError, match=r"^a gradient of shape \(3,\) does not match a tensor of shape \(2,\)"):
        x.grad = np.zeros(3)
    with pytest.raises(RuntimeError, match=r"^this tensor has requires_grad=False"):
        Tensor(np.ones(2)).grad = np.zeros(2)


def test_conversion_to_python_numbers():
    assert Tensor([[2.5]]).item() == float(Tensor(2.5)) == 2.5
    assert type(Tensor(np.float32(2)).item()) is float
    assert int(Tensor(7.9)) == 7
    assert bool(Tensor(1.0) > 0)
    with pytest.raises(ValueError, match=r"^item: a tensor of shape \(2,\) does not have exactly one element"):
        Tensor([1, 2]).item()
    with pytest.raises(ValueError, match="exactly one element"):
        bool(Tensor([1, 2]))


def test_iteration_keeps_the_history():
    x = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    first, *_, last = x
    (first + 10 * last).sum().backward()
    assert x.grad.tolist() == [[1, 1], [0, 0], [10, 10]]
    with pytest.raises(TypeError):
        list(Tensor(1.0))


def test_a_tensor_is_a_dictionary_key_by_identity():
    x, y = Tensor([1.0]), Tensor([1.0])
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1


def test_numpy_converts_tensors():
    x = Tensor(np.arange(3.0), requires_grad=True)
    assert np.asarray(x) is x.data
    assert np.array(x) is not x.data
    assert np.asarray(x, np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.stack([x, x]), [[0, 1, 2]] * 2)


def test_numpy_leaves_arithmetic_to_tensors():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    for out in (np.ones(3) * x, np.ones((2, 3)) + x, 3 - x, np.float64(2) / x, np.ones((4, 2)) @ x, np.ones(3) > x):
        assert isinstance(out, Tensor)
    with pytest.raises(TypeError, match="ufunc"):
        np.exp(x)


def test_dlpack():
    x = Tensor(np.arange(6.0).reshape(2, 3))
    assert np.shares_memory(np.from_dlpack(x), x.data)
    torch = pytest.importorskip("torch")
    assert torch.from_dlpack(x).tolist() == x.data.tolist()


def test_repr():
    x = Tensor([1, 2.5], requires_grad=True)
    assert repr(Tensor([1, 2.5])) == "Tensor([1. , 2.5], dtype=float32)"
    assert repr(x) == "Tensor([1. , 2.5], dtype=float32, requires_grad=True)"
    assert repr(2 * x) == "Tensor([2., 5.], dtype=float32, op=mul)"
    assert repr(Tensor(np.ones((2, 1)))) == "Tensor([[1.],\n        [1.]], dtype=float64)"
    assert repr(Tensor(strict_array.ones(1))) == "Tensor([1.], dtype=float64, device='gpu:0')"


def test_leaves_are_copied_and_pickled():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.data is not x.data
        assert twin.data.tolist() == [1, 2]
        (twin * 3).sum().backward()
        assert twin.grad.tolist() == [3, 3]
    assert x.grad is None
    with pytest.raises(RuntimeError, match=r"^only leaves can be copied or pickled; this is the output of mul"):
        copy.deepcopy(x * 2)


def test_a_pickle_from_a_process_that_had_made_more_nodes(monkeypatch):
    """Its new node is older than the nodes computed from it here, whatever its order was in the other process."""
    pickled = pickle.dumps(Tensor([1.0], requires_grad=True))
    for name, value in (("clock", itertools.count()), ("latest", -1), ("times", {})):
        monkeypatch.setattr(writes, name, value)
    x = pickle.loads(pickled)
    (x * 3).backward()
    assert x.grad.tolist() == [3]


def test_inputs_on_two_devices():
    ours, theirs = Tensor(np.ones(2), requires_grad=True), Tensor(strict_array.ones(2), requires_grad=True)
    for call in (lambda a, b: a + b, F.mul, lambda a, b: F.cat([a, b]), lambda a, b: a == b, F.maximum):
        for pair in ((ours, theirs), (theirs, ours), (ours.data, theirs), (ours, theirs.data)):
            with pytest.raises(ValueError, match=r"^\w+: its inputs are on cpu and gpu:0; move them to one"):
                call(*pair)
    with pytest.raises(ValueError, match=r"^backward: its inputs are on cpu and gpu:0"):
        (theirs * 1).backward(np.ones(2))
    with pytest.raises(TypeError, match=r"this tensor is on gpu:0; use tensor\.numpy\(\)"):
        np.asarray(theirs)


def test_an_op_keeps_its_name_docstring_and_error_messages():
    assert F.relu.__name__ == "relu"
    assert F.relu.__doc__.startswith("max(x, 0), elementwise")

    @op
    def twice(x, /):
        """2 * x"""
        if x.ndim > 1:
            raise ValueError("too many axes")
        return 2 * x, lambda grad: 2 * grad
    assert twice.__doc__ == "2 * x"
    with pytest.raises(ValueError, match=r"^twice: too many axes \(inputs: \(1, 1\)\)$") as caught:
        twice(np.ones((1, 1)))
    assert str(caught.value.__cause__) == "too many axes"


@pytest.mark.parametrize(("function", "settings"), [
    (F.relu, ()), (F.exp, ()), (F.neg, ()), (F.sum, ()), (F.sigmoid, ()), (F.softmax, ()), (F.max_pool2d, (2,)),
    (F.flatten, ()), (F.squeeze, ()), (F.unsqueeze, (0,)), (F.transpose, (0, 1)),
    (F.dice_loss, (np.zeros(1, int),)),
])
def test_none_is_no_input(function, settings):
    with pytest.raises(TypeError, match=r"^\w+: None is given for an input that must be a Tensor or an array"):
        function(None, *settings)
