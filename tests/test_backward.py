"""The backward pass along the tape: order, accumulation, shapes, errors, and what is released."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor, nn
from minidl.kernels import Arrays
from minidl.tensor import op


def leaf(*numbers):
    return Tensor(np.array(numbers), requires_grad=True)


def test_a_diamond():
    """Two paths of different length from x to the output; the node where they part needs the gradients of both."""
    x = leaf(2.0)
    y = x * 3
    ((y * y) * x + y).backward()                     # 9x**3 + 3x
    assert x.grad.tolist() == [27 * 4 + 3]


def test_one_tensor_three_times():
    x = leaf(2.0, 5.0)
    (x * x * x).sum().backward()
    assert x.grad.tolist() == [12, 75]


def test_one_tensor_for_both_inputs():
    x = leaf(4.0)
    (x - x).backward()
    assert x.grad.tolist() == [0]
    (x + x).backward()
    assert x.grad.tolist() == [2]


def test_fan_out():
    x = leaf(1.0, 2.0)
    total = sum(i * x for i in range(100)).sum()
    total.backward()
    assert x.grad.tolist() == [4950, 4950]


def test_branches_that_do_not_reach_the_output_get_no_gradient():
    x, y = leaf(1.0), leaf(1.0)
    _ = x * y
    (x * 5).backward()
    assert x.grad.tolist() == [5]
    assert y.grad is None


def test_a_chain_of_10_000():
    """Forward, backward and the deletion of the graph must not recurse."""
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y + 1
    y.backward(retain_graph=True)
    assert x.grad.tolist() == [1]
    del y


def test_a_ladder_of_10_000():
    """Each rung uses the previous one twice, so there are 2**10_000 paths."""
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y * 0.5 + y * 0.5
    y.backward()
    assert x.grad.tolist() == [1]


@pytest.mark.parametrize(("a", "b"), [
    ((4, 3), (3,)), ((3,), (4, 3)), ((4, 3), (4, 1)), ((1, 3), (4, 1)), ((2, 4, 3), ()), ((2, 1, 3), (4, 1)),
    ((0, 3), (3,)), ((0, 3), (1, 3)),
])  # fmt: skip
def test_gradients_of_broadcast_inputs(a, b):
    """A repeated input receives the sum of the gradients of its copies."""
    a, b = (Tensor(np.ones(shape), requires_grad=True) for shape in (a, b))
    out = a + b
    grad = np.random.default_rng(0).standard_normal(out.shape)
    out.backward(grad)
    for x in (a, b):
        padded = (1,) * (grad.ndim - x.ndim) + x.shape
        repeated = tuple(i for i, n in enumerate(padded) if n == 1)
        np.testing.assert_allclose(x.grad, grad.sum(repeated, keepdims=True).reshape(x.shape))


def test_a_second_backward():
    x = leaf(3.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"^backward: this graph was released by an earlier backward\(\)"):
        y.backward()
    z = y * 2                                        # even if only a part of the graph was released
    with pytest.raises(RuntimeError, match="released"):
        z.backward()


def test_retain_graph():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [18]                   # 6 each time: gradients accumulate
    with pytest.raises(RuntimeError, match="released"):
        y.backward()


def test_backward_from_a_leaf():
    x = leaf(3.0)
    x.backward()
    x.backward(np.array([4.0]))
    assert x.grad.tolist() == [5]


def test_retain_grad():
    x = leaf(2.0, 3.0)
    y = x * x
    y.retain_grad()
    z = (y * 10).sum()
    z.backward(retain_graph=True)
    assert y.grad.tolist() == [10, 10]
    z.backward()
    assert y.grad.tolist() == [20, 20]               # as for leaves
    assert z.grad is None
    with pytest.raises(RuntimeError, match=r"^retain_grad: this tensor has requires_grad=False"):
        Tensor([1.0]).retain_grad()


def test_the_initial_gradient():
    x = leaf(1.0, 2.0)
    (x * 2).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]
    (x * 2).backward(Tensor(np.array([1.0, 1.0])))
    (x * 2).backward([1, 1])
    assert x.grad.tolist() == [6, 24]
    with pytest.raises(RuntimeError, match=r"^backward: a tensor of shape \(2,\) needs backward\(gradient=\.\.\.\)"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"^backward: the gradient's shape \(3,\) is not the tensor's \(2,\)"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(ValueError, match=r"shape \(\) is not"):
        (x * 2).backward(1.0)


def test_the_gradient_takes_the_dtype_of_the_tensor():
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x * 2).backward(np.ones(2))
    assert x.grad.dtype == np.float32


def test_nothing_to_differentiate():
    for tensor in (Tensor(1.0), Tensor(1.0) * 2, leaf(1.0).detach() * 2):
        with pytest.raises(RuntimeError, match=r"^backward: nothing to differentiate"):
            tensor.backward()


def test_no_gradient_is_added_to_in_place():
    """`add` gives one array to both inputs; what is added to one gradient later must not change the other."""
    a, b, gradient = leaf(1.0), leaf(1.0), np.array([1.0])
    late = a * 5
    ((a + b) + late).backward(gradient)
    assert (a.grad.tolist(), b.grad.tolist()) == ([6], [1])
    (b * 2).backward(gradient)                       # and b.grad may be the initial gradient itself
    assert (a.grad.tolist(), b.grad.tolist(), gradient.tolist()) == ([6], [3], [1])


def test_detach_stops_gradients():
    x = leaf(3.0)
    (x * x.detach()).backward()
    assert x.grad.tolist() == [3]


def test_only_required_gradients_are_computed():
    """A gradient returned as a lambda is computed only if its input requires one."""
    computed = []

    @op
    def product(a, b, /):
        def backward(grad):
            return (lambda: computed.append("a") or grad * b), (lambda: computed.append("b") or grad * a)
        return a * b, backward
    product(leaf(1.0), Tensor([2.0])).backward()
    product(3.0, leaf(1.0)).backward()
    assert computed == ["a", "b"]


def test_an_op_whose_backward_is_wrong():
    @op
    def too_few(a, b, /):
        return a + b, lambda grad: grad

    @op
    def misshapen(a, /):
        return a + 1, lambda grad: grad.reshape(2, 1)

    with pytest.raises(RuntimeError, match=r"^backward of too_few gave 1 gradients for 2 inputs"):
        too_few(leaf(1.0), leaf(1.0)).backward()
    with pytest.raises(RuntimeError, match=r"^backward of misshapen gave a gradient of shape \(2, 1\) for an input of"):
        misshapen(leaf(1.0, 2.0)).sum().backward()


def test_an_op_without_a_gradient():
    """None stands for no gradient; the backward pass continues with the other inputs."""
    @op
    def one_sided(a, b, /):
        return a + b, lambda grad: (grad, None)
    a, b = leaf(1.0), leaf(1.0)
    (one_sided(a, b * 2) + b).backward()
    assert a.grad.tolist() == [1]
    assert b.grad.tolist() == [1]


def test_float32_throughout():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = np.float64(2) * F.softmax(x * np.float64(0.5) + 1, axis=1) / 3 - np.int64(1)
    loss = (y**2).mean() + x.var() + F.logsumexp(x)
    loss.backward()
    assert y.dtype == loss.dtype == x.grad.dtype == np.float32


def test_the_gradient_of_a_tensor_without_axes_stays_an_array():
    """NumPy's sum of two arrays without axes is a scalar."""
    x = Tensor(np.array(3, np.float32), requires_grad=True)
    for count in (1, 2, 3):
        (x * 2 + x).backward()
        assert type(x.grad) is np.ndarray
        assert x.grad == 3 * count


@pytest.mark.parametrize(("layer", "shape"), [
    (nn.Conv2d(4, 8, 3), (2, 4, 6, 6)), (nn.Conv2d(4, 8, 1), (2, 4, 6, 6)),
    (nn.Conv2d(4, 4, 3, groups=4), (2, 4, 6, 6)),
    (nn.Conv2d(1, 6, 5), (2, 1, 8, 8)), (nn.ConvTranspose2d(4, 3, 2), (2, 4, 6, 6)), (nn.Linear(5, 7), (3, 5)),
    (nn.BatchNorm2d(4), (2, 4, 6, 6)), (nn.LayerNorm((4, 6)), (3, 4, 6)), (nn.GroupNorm(2, 4), (2, 4, 6, 6)),
], ids=repr)  # fmt: skip
def test_gradients_have_the_memory_order_of_their_parameters(layer, shape):
    """So that an optimizer updates all of them in one pass; an axis of length 1 may have any stride, also 0."""
    layer(Tensor(np.ones(shape, np.float32))).sum().backward()
    for p in layer.parameters():
        assert Arrays([p.grad]).order == Arrays([p.data]).order


def test_only_shared_gradients_are_copied():
    """A gradient with a stride of 0 along an axis of length 1 is no broadcast view."""
    made = []

    @op
    def twice(x, /):
        def backward(grad):
            made.append(np.lib.stride_tricks.as_strided(2 * grad, grad.shape, (grad.strides[0], 0)))
            return made[-1]
        return 2 * x, backward
    x = Tensor(np.ones((3, 1)), requires_grad=True)
    twice(x).backward(np.ones((3, 1)))
    assert x.grad is made[0]
