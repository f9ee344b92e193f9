"""Forward hooks: when they are called, with which arguments, what they may replace, and how they are removed."""

import copy
import pickle

import numpy as np
import pytest

import minidl.nn as nn
from minidl import Tensor


class Scaled(nn.Module):
    """x * by + plus"""

    def forward(self, x, by=2.0, *, plus=0.0):
        return x * by + plus


def double(module, args, out):
    return out * 2


def values(*hooks, pre=(), x=3.0, **settings):
    """What Scaled gives for x, with these hooks: (function, settings of its registration)."""
    module = Scaled()
    for hook, registered in hooks:
        module.register_forward_hook(hook, **registered)
    for hook, registered in pre:
        module.register_forward_pre_hook(hook, **registered)
    return module(Tensor([x]), **settings).item()


def test_a_hook_sees_the_module_its_arguments_and_its_output():
    module, seen = Scaled(), []
    module.register_forward_pre_hook(lambda *given: seen.append(given))
    module.register_forward_hook(lambda *given: seen.append(given))
    x = Tensor([1.0])
    out = module(x, 3.0, plus=1.0)
    assert seen == [(module, (x, 3.0)), (module, (x, 3.0), out)]


def test_a_hook_with_kwargs_sees_them_too():
    module, seen = Scaled(), []
    module.register_forward_pre_hook(lambda *given: seen.append(given), with_kwargs=True)
    module.register_forward_hook(lambda *given: seen.append(given), with_kwargs=True)
    x = Tensor([1.0])
    out = module(x, plus=1.0)
    assert seen == [(module, (x,), {"plus": 1.0}), (module, (x,), {"plus": 1.0}, out)]


def test_what_a_hook_returns_replaces_the_output_unless_it_is_none():
    assert values((double, {})) == 12
    assert values((lambda module, args, out: None, {})) == 6
    assert values((lambda module, args, out: 0 * out, {})) == 0           # a false value is one, too


def test_what_a_pre_hook_returns_replaces_the_arguments():
    assert values(pre=[(lambda module, args: args[0] + 1, {})]) == 8
    assert values(pre=[(lambda module, args: (*args, 5.0), {})]) == 15
    assert values(pre=[(lambda module, args: None, {})]) == 6
    assert values(pre=[(lambda module, args, kwargs: (args, kwargs | {"plus": 1.0}), {"with_kwargs": True})]) == 7
    assert values(pre=[(lambda module, args, kwargs: None, {"with_kwargs": True})], plus=4.0) == 10


def test_hooks_run_in_order_and_pass_on_results():
    def add(module, args, out):
        return out + 1

    assert values((double, {}), (add, {})) == 13
    assert values((double, {}), (add, {"prepend": True})) == 14
    assert values((double, {}), (double, {})) == 24                       # the same function twice
    assert values(pre=[(lambda module, args: args[0] * 3, {}), (lambda module, args: args[0] + 1, {})]) == 20
    assert values(pre=[(lambda module, args: args[0] * 3, {}),
                       (lambda module, args: args[0] + 1, {"prepend": True})]) == 24


def test_a_handle_removes_its_own_hook():
    module = Scaled()
    before = dict(vars(module))
    with module.register_forward_hook(double) as first:
        second = module.register_forward_hook(double)
        assert module(Tensor([1.0])).item() == 8
    assert module(Tensor([1.0])).item() == 4
    first.remove()                                                        # again: nothing happens
    assert module(Tensor([1.0])).item() == 4
    second.remove()
    assert module(Tensor([1.0])).item() == 2
    assert vars(module) == before


def test_a_hook_may_remove_itself():
    module, calls = Scaled(), []

    def once(module, args, out):
        calls.append(out)
        handle.remove()

    handle = module.register_forward_hook(once)
    module.register_forward_hook(double)
    assert [module(Tensor([1.0])).item() for _ in range(2)] == [4, 4]
    assert len(calls) == 1


def test_hooks_are_not_part_of_the_state():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    before = repr(model), list(model.state_dict()), list(model.named_modules())
    model.register_forward_hook(nn.Linear(2, 2))                          # a module is a function, too
    model[0].register_forward_pre_hook(print)
    assert (repr(model), list(model.state_dict()), list(model.named_modules())) == before
    assert len(model) == 2


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module)), copy.copy])
def test_a_copy_has_the_hooks_and_handles_of_its_own(duplicate):
    module = Scaled()
    handle = module.register_forward_hook(double)
    twin = duplicate(module)
    handle.remove()
    assert module(Tensor([1.0])).item() == 2
    assert twin(Tensor([1.0])).item() == 4


def test_a_handle_kept_in_the_module_is_copied_with_it():
    module = Scaled()
    module.handle = module.register_forward_hook(double)
    twin = copy.deepcopy(module)
    twin.handle.remove()
    assert (module(Tensor([1.0])).item(), twin(Tensor([1.0])).item()) == (4, 2)


def test_misuse_is_named():
    module = Scaled()
    with pytest.raises(ValueError, match=r"^register_forward_hook: always_call=True is not supported"):
        module.register_forward_hook(double, always_call=True)
    with pytest.raises(TypeError, match=r"^Scaled: a hook must be a function, not 3"):
        module.register_forward_pre_hook(3)
    module.register_forward_pre_hook(lambda module, args, kwargs: args, with_kwargs=True)
    with pytest.raises(TypeError, match=r"^Scaled: a pre-hook with kwargs must return None or \(args, kwargs\)"):
        module(Tensor([1.0]))


def test_against_pytorch():
    """The same hooks on the same network see shapes in the same order, and change the same values."""
    torch = pytest.importorskip("torch")

    def run(library, tensor):
        model = library.Sequential(library.Conv2d(1, 2, 1), library.ReLU(), library.MaxPool2d(2), library.Flatten())
        seen = []
        for layer in (model, *model):
            layer.register_forward_pre_hook(lambda module, args: seen.append(("before", tuple(args[0].shape))))
            layer.register_forward_hook(
                lambda module, args, out: seen.append((type(module).__name__, tuple(out.shape))))
        model[0].register_forward_hook(lambda module, args, out: out * 0 - 1)
        model[1].register_forward_pre_hook(lambda module, args: args[0] + 3)
        return model(tensor), seen

    x = np.ones((1, 1, 4, 4), np.float32)
    (ours, our_calls), (theirs, their_calls) = run(nn, Tensor(x)), run(torch.nn, torch.from_numpy(x))
    assert our_calls == their_calls
    np.testing.assert_array_equal(ours.data, theirs.detach().numpy())
