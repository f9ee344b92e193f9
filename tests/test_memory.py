"""Memory is freed by reference counts alone: these tests run with the garbage collector switched off."""

import gc
import weakref

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor, no_grad
from minidl.tensor import op


@pytest.fixture(autouse=True)
def no_collector():
    """Run without garbage collection, so that only reference counts free objects.

    One step runs first: it compiles the kernels, and what the compiler leaves behind is collected.
    """
    loss_of(images(), parameters()).backward()
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def parameters():
    shapes = (4, 3, 3, 3), (4,), (4,), (4,), (5, 4 * 3 * 3)
    return [Tensor(np.full(shape, 0.1), requires_grad=True) for shape in shapes]


def network(x, weight, bias, scale, shift, last):
    """Most kinds of operations; yields every intermediate tensor, and the loss last."""
    x = F.conv2d(x, weight, bias, padding=1)
    yield x
    x = F.batch_norm(x, scale, shift)
    yield x
    x = F.relu(x)
    yield x
    x = F.max_pool2d(x, 2)
    yield x
    x = F.dropout(x) * 2 + x[:, :, ::1]
    yield x
    x = F.linear(x.flatten(1), last)
    yield x
    yield F.cross_entropy(x, np.array([0, 3]))


def images():
    return Tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 6)))


def loss_of(x, leaves):
    """The loss of one step, without the intermediate tensors."""
    for tensor in network(x, *leaves):
        loss = tensor
    return loss


def history(tensor):
    """Weak references to all nodes that a tensor depends on, except leaves."""
    nodes, todo = [], [tensor.node]
    while todo:
        node = todo.pop()
        if node is not None and node.backward is not None:
            nodes.append(weakref.ref(node))
            todo.extend(node.parents)
    return nodes


def alive(references):
    return sum(r() is not None for r in references)


def test_the_graph_is_freed_with_the_loss():
    loss = loss_of(images(), parameters())
    nodes = history(loss)
    assert alive(nodes) == len(nodes) > 8
    loss.backward()
    del loss
    assert alive(nodes) == 0


def test_the_graph_is_freed_without_backward_too():
    loss = loss_of(images(), parameters())
    nodes = history(loss)
    del loss
    assert alive(nodes) == 0


def test_backward_frees_activations_while_the_loss_is_alive():
    arrays = []
    for tensor in network(images(), *parameters()):
        arrays.append(weakref.ref(tensor.data))
        loss = tensor
    del tensor
    assert alive(arrays[:-1]) > 0                     # kept for backward
    loss.backward()
    assert alive(arrays[:-1]) == 0
    assert arrays[-1]() is loss.data


def test_under_no_grad_nothing_is_kept():
    arrays = []
    with no_grad():
        for tensor in network(images(), *parameters()):
            assert alive(arrays) <= 1                 # the last one, which `network` still calls x
            arrays.append(weakref.ref(tensor.data))


def test_relu_frees_its_input_in_the_forward_pass():
    """Its backward needs only the output, which the next layer keeps anyway."""
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    y = x * 2
    before = weakref.ref(y.data)
    y = F.relu(y)
    assert before() is None
    y.sum().backward()
    assert x.grad.tolist() == [[2] * 3] * 2


@pytest.mark.parametrize("function", [
    F.exp, F.tanh, F.sigmoid, F.softmax, F.sqrt, F.add, F.sum, F.mean, F.reshape, F.max_pool2d, F.avg_pool2d,
], ids=lambda f: f.__name__)  # fmt: skip
def test_operations_that_do_not_need_their_input_free_it(function):
    """Their backward needs only the output, or only shapes."""
    settings = {F.add: (1.0,), F.max_pool2d: (2,), F.avg_pool2d: (2,)}.get(function, ())
    named = {"shape": (-1,)} if function is F.reshape else {}
    function(np.ones((1, 2, 4, 4)), *settings, **named)
    gc.collect()                                      # the kernel may just have been compiled
    y = Tensor(np.ones((1, 2, 4, 4)), requires_grad=True) * 2
    before = weakref.ref(y.data)
    out = function(y, *settings, **named)
    shares = np.shares_memory(out.data, y.data)       # a view keeps its base alive
    del y
    assert (before() is None) != shares


def test_intermediate_gradients_are_freed():
    """In a long chain only a few gradients are alive at any time, and afterwards only that of the leaf."""
    seen, most = [], 0

    def watch(grad):
        nonlocal most
        seen.append(weakref.ref(grad))
        most = max(most, alive(seen))

    x = Tensor(np.ones(3), requires_grad=True)
    y = x
    for _ in range(50):
        y = watched(y, watch)
    y.sum().backward()
    assert len(seen) == 50
    assert most <= 3
    del y
    assert alive(seen) <= 1                           # that of the leaf


def watched(x, watch):
    """2 * x, whose backward passes its gradient to `watch`."""
    @op
    def twice(x, /):
        def backward(grad):
            watch(grad)
            return 2 * grad
        return 2 * x, backward
    return twice(x)


def test_a_step_leaves_only_gradients_behind():
    """The number of live objects does not grow from step to step."""
    leaves, x = parameters(), images()

    def step():
        loss_of(x, leaves).backward()
        for leaf in leaves:
            leaf.grad = None

    for _ in range(3):
        step()
    before = len(gc.get_objects())
    for _ in range(5):
        step()
    assert len(gc.get_objects()) <= before + 2        # the integer itself
