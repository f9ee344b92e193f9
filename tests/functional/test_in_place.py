"""The operators that change a tensor in place, and how changes are noticed by a graph that needs the old values."""

import operator

import numpy as np
import pytest
import strict_array

import minidl.functional as F
from minidl import Tensor, nn, no_grad, optim
from minidl.tensor import op
from minidl.writes import arrays_read

OPERATORS = {"+": operator.iadd, "-": operator.isub, "*": operator.imul, "/": operator.itruediv, "**": operator.ipow}
PLAIN = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow}
each = pytest.mark.parametrize("symbol", OPERATORS)


def leaf(*values):
    return Tensor(np.array(values, np.float32), requires_grad=True)


@each
@pytest.mark.parametrize("other", [2, 2.5, np.float64(2), np.array(2.0), np.array([1.0, 2.0]), np.array([[1], [2]]),
                                   Tensor([1, 3])], ids=repr)
@pytest.mark.parametrize("xp", [np, strict_array], ids=["numpy", "strict"])
def test_a_leaf_is_changed_under_no_grad(symbol, other, xp):
    data = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    if xp is strict_array and not isinstance(other, int | float):
        other = Tensor(xp.asarray(np.asarray(other.data if isinstance(other, Tensor) else other, np.float32)))
    expected = PLAIN[symbol](Tensor(xp.asarray(data)), other)
    x = Tensor(xp.asarray(data.copy()), requires_grad=True)
    array, node, alias = x.data, x.node, x
    with no_grad():
        x = OPERATORS[symbol](x, other)
    assert x is alias
    assert x.data is array
    assert x.node is node
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.numpy(), expected.numpy(), rtol=1e-6)


def test_gradient_descent_by_hand():
    model = nn.Linear(3, 2)
    x, before = Tensor(np.ones((4, 3), np.float32)), model.weight.numpy().copy()
    model(x).sum().backward()
    with no_grad():
        for p in model.parameters():
            p -= 0.5 * p.grad
    np.testing.assert_allclose(model.weight.numpy(), before - 2, rtol=1e-6)
    with no_grad():
        model.weight *= 0                                # an attribute is assigned the same parameter
    assert [name for name, _ in model.named_parameters()] == ["weight", "bias"]


@each
def test_what_would_be_recorded_is_refused(symbol):
    """For a leaf, an intermediate result, and a tensor of data that meets one."""
    x, data = leaf(1.0, 2.0), Tensor(np.ones(2, np.float32))
    for a, b in ((x, 1.0), (x * 2, 1.0), (data, x), (data, x * 2), (x, x)):
        before = a.numpy().copy()
        with pytest.raises(RuntimeError, match=r"^x .+= y: the tape cannot record a change in place; write x = x "):
            OPERATORS[symbol](a, b)
        np.testing.assert_array_equal(a.numpy(), before)
    with pytest.raises(RuntimeError, match=r"^x\[index\] = y: the tape cannot record a change in place"):
        x[0] = 1
    with pytest.raises(RuntimeError, match=r"^x\[index\] = y: "):
        data[0] = x[1]


def test_data_are_changed_without_no_grad():
    x = Tensor(np.zeros((2, 3), np.float32))
    x += 1
    x[0] = 5
    x[1, ::2] *= 3
    x[x > 4] = Tensor(7)
    x[[0], Tensor(np.array([1]))] = -1
    assert x.numpy().tolist() == [[7, -1, 7], [3, 1, 3]]
    counts = Tensor(np.arange(3))
    counts += True
    counts **= 2
    assert counts.numpy().tolist() == [1, 4, 9]


def test_matmul_is_refused_in_place():
    x = Tensor(np.eye(2, dtype=np.float32))
    with pytest.raises(TypeError, match=r"^x @= y is not supported: the result has another shape; write x = x @ y"):
        x @= x


@pytest.mark.parametrize(("change", "error", "words"), [
    (lambda x: operator.iadd(x, np.ones(3)), ValueError, r"^\+=: .*\(inputs: \(2,\), \(3,\)\)"),
    (lambda x: operator.iadd(x, np.ones((2, 2))), ValueError, r"^\+=: non-broadcastable output operand"),
    (lambda x: operator.iadd(x, "1"), TypeError, r"^\+=: a str is neither a Tensor nor an array nor a number"),
    (lambda x: operator.iadd(x, [1, 2]), TypeError, r"^\+=: a list is neither a Tensor nor an array nor a number"),
    (lambda x: operator.iadd(x, 1j), TypeError, r"^\+=: a complex is neither a Tensor nor an array nor a number"),
    (lambda x: operator.iadd(x, None), TypeError, r"^\+=: NoneType does not fit into a tensor of float32"),
    (lambda x: operator.iadd(x, strict_array.ones(2)), ValueError, r"^\+=: its inputs are on cpu and gpu:0"),
    (lambda x: operator.setitem(x, 2, 1), IndexError, r"^\[\]=: index 2 is out of bounds"),
    (lambda x: operator.setitem(x, 0, np.ones(2)), ValueError, r"^\[\]=: "),
    (lambda x: operator.iadd(Tensor(np.arange(2)), 0.5), TypeError, r"^\+=: float does not fit into a tensor of int64"),
    (lambda x: operator.setitem(Tensor(np.arange(2)), 0, np.array(0.5)), TypeError, r"^\[\]=: float64 does not fit"),
    (lambda x: operator.iadd(Tensor(np.ones(2, np.uint8)), 300), ValueError, r"^\+=: Python integer 300 out of bounds"),
    (lambda x: operator.iadd(Tensor(np.ones(2, bool)), 1), TypeError, r"^\+=: int does not fit into a tensor of bool"),
    (lambda x: operator.iadd(Tensor(np.broadcast_to(np.ones(1), 2)), 1), ValueError, r"^\+=: output array is"),
])
def test_bad_operands(change, error, words):
    x = Tensor(np.ones(2, np.float32))
    with pytest.raises(error, match=words):
        change(x)
    assert x.numpy().tolist() == [1, 1]


# Changes between the forward and the backward pass

def test_a_step_between_two_walks_is_noticed():
    w, v = leaf(1.0), leaf(1.0)
    optimizer = optim.SGD([w, v], lr=1.0)
    hidden = w * v
    hidden.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"^backward of mul: an array of shape \(1,\) that it needs has been"):
        hidden.backward()


def changes():
    """(name, a function that changes the weight of a model)"""
    def by_optimizer(model):
        model.weight.grad = np.ones_like(model.weight.data)
        optim.Adam(model.parameters()).step()

    def by_average(model):
        average = optim.ExponentialMovingAverage(model, 0.5)
        with average.averaged():
            out = model(Tensor(np.ones((1, 2), np.float32), requires_grad=True))
        average.update()
        return out

    def by_a_loaded_average(model):
        average = optim.ExponentialMovingAverage(model, 0.5)
        with average.averaged():
            out = model(Tensor(np.ones((1, 2), np.float32), requires_grad=True))
        average.load_state_dict(average.state_dict())
        return out

    def by_hand(model):
        with no_grad():
            model.weight += 1

    def by_index(model):
        with no_grad():
            model.weight[0, 0] = 1

    def through_a_view(model):
        with no_grad():
            row = model.weight[0]
            row += 1

    def through_a_detached_tensor(model):
        detached = model.weight.detach()
        detached *= 2
    return {"load_state_dict": lambda model: model.load_state_dict(model.state_dict()) and None, **{
        f.__name__: f for f in (by_optimizer, by_average, by_a_loaded_average, by_hand, by_index, through_a_view,
                                through_a_detached_tensor)}}


@pytest.mark.parametrize("name", changes())
def test_every_change_is_noticed(name):
    model = nn.Linear(2, 2)
    out = model(Tensor(np.ones((1, 2), np.float32), requires_grad=True))
    later = changes()[name](model)
    out = out if later is None else later
    with pytest.raises(RuntimeError, match=r"^backward of linear: an array .* has been changed in place since"):
        out.sum().backward()


def test_a_change_that_backward_does_not_need():
    """The gradient of w in w * x is x; PyTorch accepts this as well."""
    w, x = leaf(2.0), Tensor([3.0])
    y = w * x
    with no_grad():
        w += 1
    y.backward()
    assert w.grad.tolist() == [3]


def test_a_replaced_array_is_no_change():
    w, x = leaf(2.0), leaf(3.0)
    y = w * x
    w.data = np.zeros(1, np.float32)
    y.backward()
    assert x.grad.tolist() == [2]


def test_the_next_graph_uses_the_new_values():
    w, x = leaf(2.0), leaf(3.0)
    (w * x).backward()
    with no_grad():
        w *= 10
    (w * x).backward()
    assert x.grad.tolist() == [22]


def test_running_statistics_may_move_before_backward():
    layer = nn.BatchNorm2d(2).eval()
    x = Tensor(np.random.default_rng(0).standard_normal((2, 2, 3, 3), np.float32), requires_grad=True)
    out = layer(x)
    out.sum().backward(retain_graph=True)
    before, x.grad = x.grad, None
    layer.train()(x)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad, before)


@pytest.mark.parametrize("size", [3, 20_000], ids=["from NumPy", "from the pool"])
def test_gradients_may_lie_where_a_changed_array_was(size):
    """A gradient is new, but its memory, and the address of its array, may be those of one that was changed and freed.
    """
    for _ in range(20):
        w = Tensor(np.ones(size, np.float32), requires_grad=True)
        loss = F.relu(w * 2 * w).sum()
        changed = [F.relu(Tensor(np.zeros(size, np.float32))) for _ in range(10)]
        for x in changed:
            x += 1
        del changed, x
        loss.backward()
        assert w.grad[0] == 4


def test_which_arrays_a_function_reads():
    """Those that only a lambda reads belong to the lambda; what a comprehension or a called function reads counts.

    Arrays that `backward` has made itself do not count.
    """
    a, b, c, d = (np.full(1, i) for i in range(4))
    held = {"c": [c]}

    def call():
        return d

    def backward(grad):
        parts = [x + a for x in (grad,)]
        return parts, (lambda: [grad, parts, b]), held, call()
    assert sorted(int(x[0]) for x in arrays_read(backward, backward)) == [0, 2, 3]
    assert [int(x[0]) for x in arrays_read(backward(a)[1], backward)] == [1]
    assert list(arrays_read(F.relu, F.relu)) == []
    assert list(arrays_read(print, print)) == []


def test_a_variable_without_a_value():
    """A backward may have a branch that is never reached, with a variable that is never set."""
    @op
    def twice(x, /, *, keep=False):
        if keep:
            kept = x

        def backward(grad):
            return grad * kept if keep else 2 * grad
        return 2 * x, backward
    x, other = leaf(1.0), leaf(1.0)
    y = twice(x)
    with no_grad():
        other += 1
    y.backward()
    assert x.grad.tolist() == [2]
