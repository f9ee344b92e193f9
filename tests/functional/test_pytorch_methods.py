"""The methods of Tensor that are no functions: sizes, conversions, writes in place."""

import numpy as np
import pytest

from minidl import Tensor, nn, no_grad

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def x(xp):
    return Tensor(xp.asarray(VALUES.copy()))


def test_sizes(x):
    assert (x.size(), x.size(0), x.size(-1), x.dim(), x.numel()) == ((2, 3), 2, 3, 2, 6)
    assert x.tolist() == VALUES.tolist()
    with pytest.raises(IndexError, match="size: axis 2"):
        x.size(2)


def test_shapes(x):
    assert x.view(-1).shape == x.view((6,)).shape == x.view(x.size(1) * 2).shape == (6,)
    assert x.repeat(2, 1).shape == x.repeat((2, 1)).shape == (4, 3)
    assert x.contiguous() is x
    assert [part.shape for part in x.split(2, dim=1)] == [(2, 2), (2, 1)]
    assert [part.shape for part in x.split([1, 2], 1)] == [(2, 1), (2, 2)]
    assert [part.shape for part in Tensor(np.ones(7)).chunk(3)] == [(3,), (3,), (1,)]
    assert [part.shape for part in Tensor(np.ones((0, 2))).split(2)] == [(0, 2)]


def test_conversions(x):
    dtypes = [x.float().dtype, x.double().dtype, x.long().dtype, x.int().dtype, x.bool().dtype]
    assert dtypes == [np.float32, np.float64, np.int64, np.int32, np.bool_]
    assert x.to(np.float64).dtype == x.to("cpu", np.float64).dtype == x.to(dtype=np.float64).dtype == np.float64
    assert x.cpu().device.kind == "cpu"
    copy = x.to(x.device, copy=True)
    copy.zero_()
    assert x.tolist() == VALUES.tolist()


def test_a_clone_passes_its_gradient_back(x):
    x.requires_grad_()
    twin = x.clone()
    (2 * twin).sum().backward()
    assert twin.data is not x.data
    assert np.asarray(Tensor(x.grad).numpy()).tolist() == [[2] * 3] * 2
    assert not x.requires_grad_(False).requires_grad


def test_logic(x):
    big, odd = x > 2, x % 2 == 1
    assert (big & odd).tolist() == [[False, False, False], [True, False, True]]
    assert (big | odd).sum().item() == 4
    assert (big ^ odd).sum().item() == 2
    assert (~big).all().item() is False
    assert big.any().item() is True


def test_in_place(x, xp):
    with no_grad():
        assert x.add_(1) is x
        x.mul_(2).sub_(x.clone(), alpha=0.5).div_(0.5)
        np.testing.assert_allclose(x.numpy(), 2 * (VALUES + 1))
        assert x.copy_(Tensor(xp.asarray(VALUES))).tolist() == VALUES.tolist()
        assert x.fill_(3).tolist() == [[3] * 3] * 2
        assert x.zero_().sum().item() == 0


def test_in_place_is_refused_where_it_would_be_recorded():
    p = nn.Parameter(VALUES)
    for change in (lambda: p.add_(1), lambda: p.zero_(), lambda: p.mul_(2), lambda: p.copy_(VALUES)):
        with pytest.raises(RuntimeError, match="the tape cannot record"):
            change()


def test_norms_and_deviations_of_constants_have_the_gradient_0():
    for function in (lambda x: x.norm(), lambda x: x.std()):
        x = Tensor(np.zeros(3), requires_grad=True)
        function(x).backward()
        assert x.grad.tolist() == [0, 0, 0]
    x = Tensor(np.array([[3.0, -4], [0, 0]]))
    assert x.norm(dim=1).tolist() == [5, 0]
    assert x.norm(p=1, dim=1, keepdim=True).tolist() == [[7], [0]]
    assert x.norm(float("inf")).item() == 4
    assert x.norm("fro").item() == 5
