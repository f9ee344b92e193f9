"""States of optimizers in PyTorch's form: its own are loaded here, ours there, and training goes on alike."""

import numpy as np
import pytest

import minidl.torch as torch
from minidl import data, nn, optim, train
from minidl.io import load_checkpoint

SETTINGS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.01}),
    ("AdamW", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.5, "centered": True}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.3}),
]
each = pytest.mark.parametrize(("name", "settings"), SETTINGS)
START, GRADIENTS = np.linspace(-1, 1, 6, dtype=np.float32), np.random.default_rng(0).normal(size=(6, 6)).astype("f")


def steps(library, optimizer, p, gradients):
    for gradient in gradients:
        p.grad = library.from_numpy(gradient.copy()) if library is not torch else gradient.copy()
        optimizer.step()


def made(library, name, settings):
    p = library.nn.Parameter(library.from_numpy(START.copy()))
    return p, getattr(library.optim, name)([p], **settings)


def values(p):
    return np.asarray(p.detach())


@each
def test_a_state_of_pytorch_goes_on_here(name, settings):
    theirs = pytest.importorskip("torch")
    their_p, their_optimizer = made(theirs, name, settings)
    steps(theirs, their_optimizer, their_p, GRADIENTS[:3])
    p, optimizer = made(torch, name, {**settings, "lr": 5})
    p.data[...] = values(their_p)
    state = their_optimizer.state_dict()
    state["state"] = {i: {key: None if value is None else np.asarray(value) for key, value in one.items()}
                      for i, one in state["state"].items()}
    optimizer.load_state_dict(state)
    assert optimizer.lr == 0.1
    steps(theirs, their_optimizer, their_p, GRADIENTS[3:])
    steps(torch, optimizer, p, GRADIENTS[3:])
    np.testing.assert_allclose(values(p), values(their_p), rtol=1e-5, atol=1e-6)


@each
def test_a_state_of_ours_goes_on_in_pytorch(name, settings):
    theirs = pytest.importorskip("torch")
    p, optimizer = made(torch, name, settings)
    steps(torch, optimizer, p, GRADIENTS[:3])
    their_p, their_optimizer = made(theirs, name, {**settings, "lr": 5})
    with theirs.no_grad():
        their_p.copy_(theirs.from_numpy(values(p).copy()))
    state = optimizer.state_dict()
    state["state"] = {i: {key: theirs.from_numpy(value.numpy().copy()) for key, value in one.items()}
                      for i, one in state["state"].items()}
    their_optimizer.load_state_dict(state)
    steps(theirs, their_optimizer, their_p, GRADIENTS[3:])
    steps(torch, optimizer, p, GRADIENTS[3:])
    np.testing.assert_allclose(values(p), values(their_p), rtol=1e-5, atol=1e-6)


@each
def test_through_a_file(name, settings, tmp_path):
    p, optimizer = made(torch, name, settings)
    steps(torch, optimizer, p, GRADIENTS[:3])
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    twin, other = made(torch, name, settings)
    twin.data[...] = p.data
    other.load_state_dict(torch.load(tmp_path / "state.pt"))
    for one, q in ((optimizer, p), (other, twin)):
        steps(torch, one, q, GRADIENTS[3:])
    np.testing.assert_allclose(values(p), values(twin), rtol=1e-6)


def test_groups_and_parameters_without_a_state():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = torch.optim.Adam([{"params": model[0].parameters(), "lr": 0.5}, {"params": model[1].parameters()}], 0.1)
    model[0].weight.grad = np.ones((3, 2), np.float32)
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2, 3]]
    assert list(state["state"]) == [0]
    optimizer.load_state_dict(state)
    with pytest.raises(ValueError, match=r"groups of \[2, 2\] parameters, not of \[4\]"):
        torch.optim.Adam(model.parameters()).load_state_dict(state)


def test_settings_of_pytorch():
    p = nn.Parameter(np.ones(2, np.float32))
    torch.optim.AdamW([p], lr=0.1, foreach=True, fused=None, amsgrad=False)
    with pytest.raises(ValueError, match="Adam: amsgrad=True is not supported"):
        torch.optim.Adam([p], amsgrad=True)
    with pytest.raises(ValueError, match="SGD: maximize=True is not supported"):
        torch.optim.SGD([p], lr=0.1, maximize=True)
    state = torch.optim.Adam([p]).state_dict()
    state["param_groups"][0]["amsgrad"] = True
    with pytest.raises(ValueError, match="amsgrad=True"):
        torch.optim.Adam([p]).load_state_dict(state)


def test_a_closure():
    p = nn.Parameter(np.ones(2, np.float32))
    optimizer = torch.optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss
    assert optimizer.step(closure).item() == 2
    assert p.data.tolist() == [0, 0]


def test_fit_saves_such_an_optimizer_by_the_names_of_the_parameters(tmp_path):
    """The same file as for an optimizer of minidl, so either can resume the run."""
    contents = []
    for i, kind in enumerate((optim.SGD, torch.optim.SGD)):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        optimizer = kind(model.named_parameters(), 1e-2, 0.9)
        train.fit(model, optimizer, data.drawn_digits(40), output_dir=tmp_path / str(i), epochs=1, batch_size=20,
                  seed=0, log_interval=0)
        contents.append(load_checkpoint(tmp_path / str(i) / "last.safetensors"))
    (arrays, facts), (others, other_facts) = contents
    assert "optimizer/1.weight.velocity" in arrays
    assert facts["optimizer"] == other_facts["optimizer"]
    assert arrays.keys() == others.keys()
    assert all(np.array_equal(arrays[name], others[name]) for name in arrays)
