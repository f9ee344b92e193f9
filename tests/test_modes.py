"""no_grad and detect_nonfinite: what they affect, and that they end."""

import threading

import numpy as np
import pytest

import minidl.functional as F
from minidl import NonFiniteError, Tensor, detect_nonfinite, kernels, no_grad
from minidl.modes import mode


@pytest.fixture
def x():
    return Tensor(np.array([1.0, 2.0]), requires_grad=True)


def test_no_grad_records_nothing(x):
    with no_grad():
        y = x * 2
    assert not y.requires_grad
    assert (x * 2).requires_grad
    with pytest.raises(RuntimeError, match="nothing to differentiate"):
        y.sum().backward()


def test_no_grad_leaves_leaves_alone():
    with no_grad():
        x = Tensor([1.0], requires_grad=True)
    (x * 2).backward()
    assert x.grad.tolist() == [2]


def test_no_grad_ends_after_an_exception(x):
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert (x * 2).requires_grad


def test_no_grad_nests(x):
    with no_grad():
        with no_grad():
            pass
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_as_decorator(x):
    @no_grad()
    def twice(x, depth=1):
        """Recursive, to check that one decorator can be entered several times."""
        return x * 2 if depth == 0 else twice(x, depth - 1)
    assert not twice(x).requires_grad
    assert not twice(x).requires_grad
    assert twice.__name__ == "twice"
    assert (x * 2).requires_grad


def test_no_grad_as_decorator_of_a_generator(x):
    """Each step runs under no_grad; the code that takes the values does not."""
    @no_grad()
    def products(factors):
        """Yields x * factor for each factor, takes one by `send`, and returns how many there were."""
        count = 0
        try:
            for factor in factors:
                try:
                    sent = yield x * factor
                except KeyError:
                    sent = 10
                while sent is not None:
                    sent = yield x * sent
                count += 1
        finally:
            ended.append((x * 1).requires_grad)
        return count

    ended = []
    assert products.__name__ == "products"
    steps = products([2, 3])
    assert not next(steps).requires_grad
    assert (x * 2).requires_grad
    assert steps.throw(KeyError()).numpy().tolist() == (x * 10).numpy().tolist()
    assert steps.send(5).numpy().tolist() == (x * 5).numpy().tolist()
    assert next(steps).numpy().tolist() == (x * 3).numpy().tolist()
    assert (x * 2).requires_grad
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == 2
    abandoned = products([1])
    next(abandoned)
    abandoned.close()
    assert ended == [False, False]
    with pytest.raises(ZeroDivisionError):
        list(products(1 / 0 for _ in range(1)))
    assert (x * 2).requires_grad


def test_decorators_without_parentheses(x):
    @no_grad
    def twice(x):
        return x * 2

    class Model:
        @no_grad
        def twice(self, x):
            return x * 2
    assert not twice(x).requires_grad
    assert not Model().twice(x).requires_grad
    assert (x * 2).requires_grad

    @kernels.using("plain")
    def backend():
        yield kernels.settings.backend
    assert list(backend()) == ["plain"]
    assert kernels.settings.backend == "auto"


def test_one_scope_nests_in_itself(x):
    scope = no_grad()
    with scope:
        with scope:
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_affects_only_its_own_thread(x):
    inside, outside = threading.Event(), threading.Event()
    seen = []

    def work():
        with no_grad():
            inside.set()
            outside.wait(10)
            seen.append((x * 2).requires_grad)
        seen.append((x * 2).requires_grad)
    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(10)
    seen.append((x * 2).requires_grad)               # while the other thread is under no_grad
    outside.set()
    thread.join()
    assert seen == [True, False, True]


def test_a_thread_started_under_no_grad_records(x):
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_backward_under_no_grad(x):
    y = (x * x).sum()
    with no_grad():
        y.backward()
    assert x.grad.tolist() == [2, 4]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_detect_nonfinite_in_the_forward_pass(xp, bad):
    x = Tensor(xp.asarray(np.array([1.0, bad, 3.0])))
    with detect_nonfinite(), pytest.raises(NonFiniteError, match=r"^the output of mul is not finite: 1 of .*\(3,\)"):
        x * 2
    assert (x * 2).shape == (3,)                     # only inside the context


def test_detect_nonfinite_in_the_backward_pass(xp):
    x = Tensor(xp.asarray(np.array([0.0, 4.0])), requires_grad=True)
    with detect_nonfinite(), np.errstate(divide="ignore"):
        y = F.sqrt(x).sum()
        with pytest.raises(NonFiniteError, match=r"^the gradient of sqrt is not finite: 1 of .*\(2,\)"):
            y.backward()


def test_detect_nonfinite_accepts_finite_values(x):
    with detect_nonfinite():
        F.where(x > 1, x, 0).sum().backward()
        assert (Tensor(np.arange(3)) > 1).numpy().tolist() == [False, False, True]
    assert x.grad.tolist() == [0, 1]


def test_detect_nonfinite_ends_after_an_exception():
    with pytest.raises(NonFiniteError), detect_nonfinite():
        Tensor(np.array([np.nan])) + 1
    assert not mode.finite_only
