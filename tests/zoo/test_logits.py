"""Logits of networks against PyTorch: stored ones, and PyTorch itself where it is installed.

`logits.json` holds PyTorch's logits (the first ten of each image) for weights from a formula. It was written by
`python tests/zoo/test_logits.py`, which needs PyTorch and, from this project, only the formula and `states.txt`.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from formula import images, weights

import zoo
from minidl import Tensor, no_grad

STORED = Path(__file__).parent / "logits.json"
CASES = {                     # name: (settings, shape of the images); few hidden units for speed
    "alexnet": ({"hidden": 48}, (2, 3, 71, 64)),
    "vgg11": ({"hidden": 48}, (2, 3, 32, 64)),
    "vgg16_bn": ({"hidden": 48}, (2, 3, 40, 32)),
    "googlenet": ({}, (2, 3, 64, 49)),
    "resnet18": ({}, (2, 3, 40, 33)),
    "resnet50": ({}, (2, 3, 33, 40)),
    "resnet20": ({}, (2, 3, 32, 32)),
    "mobilenet_v2": ({}, (2, 3, 41, 40)),
}
MORE = {                      # compared with PyTorch only where it is installed
    "googlenet": ({"transform_input": True}, (1, 3, 32, 32)),
    "vgg19": ({"hidden": 8}, (1, 3, 32, 32)),
    "vgg13_bn": ({"hidden": 8}, (1, 3, 32, 32)),
    "resnet34": ({}, (1, 3, 32, 32)),
    "resnet56": ({}, (1, 3, 32, 32)),
}


def ours(name, settings, shape):
    """Logits of a zoo network with weights from the formula."""
    model = zoo.create(name, **settings).eval()
    model.load_state_dict(weights({key: array.shape for key, array in model.state_dict().items()}))
    with no_grad():
        return model(Tensor(images(*shape))).numpy()


def theirs(name, settings, shape):
    """Logits of the PyTorch network with the same weights."""
    import torch
    from torch_networks import build
    model = build(name, **settings).eval()
    state = weights({key: tuple(tensor.shape) for key, tensor in model.state_dict().items()})
    model.load_state_dict({key: torch.from_numpy(np.asarray(array)) for key, array in state.items()})
    with torch.no_grad():
        return model(torch.from_numpy(images(*shape))).numpy()


def assert_near(actual, expected):
    """Equal within 1e-4 of the largest logit, while two images differ by much more than that."""
    tolerance = 1e-4 * np.abs(expected).max()
    assert np.abs(actual - expected).max() <= tolerance
    assert len(expected) == 1 or np.abs(expected[0] - expected[1]).max() > 100 * tolerance


@pytest.mark.parametrize("name", CASES)
def test_stored_logits(name):
    settings, shape = CASES[name]
    assert_near(ours(name, settings, shape)[:, :10], np.array(json.loads(STORED.read_text())[name], np.float32))


@pytest.mark.parametrize(("name", "settings", "shape"),
                         [(name, *case) for cases in (CASES, MORE) for name, case in cases.items()])
def test_logits_are_those_of_pytorch(name, settings, shape):
    pytest.importorskip("torch")
    assert_near(ours(name, settings, shape), theirs(name, settings, shape))


def test_logits_of_all_googlenet_heads():
    torch = pytest.importorskip("torch")
    from torch_networks import build
    model, oracle = zoo.create("googlenet"), build("googlenet").eval()
    state = weights({key: array.shape for key, array in model.state_dict().items()})
    model.load_state_dict(state)
    oracle.load_state_dict({key: torch.from_numpy(np.asarray(array)) for key, array in state.items()})
    model.eval().training = True              # computes the auxiliary heads, with all layers in eval mode
    with no_grad(), torch.no_grad():
        actual = model(Tensor(images(1, 3, 64, 64)))
        expected = oracle.all_heads(torch.from_numpy(images(1, 3, 64, 64)))
    for a, e in zip(actual, expected, strict=True):
        assert_near(a.numpy(), e.numpy())


if __name__ == "__main__":
    logits = {name: theirs(name, *case)[:, :10].tolist() for name, case in CASES.items()}
    short = {name: [[float(f"{x:.7g}") for x in row] for row in rows] for name, rows in logits.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in short.items()]
    STORED.write_text("{\n" + ",\n".join(lines) + "\n}\n")
