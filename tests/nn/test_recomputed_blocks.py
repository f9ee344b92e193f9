"""Recomputed blocks: the same gradients, statistics and random numbers, and their inner results are not kept."""

import weakref

import numpy as np
import pytest

import minidl
import minidl.functional as F
from minidl import Tensor, nn, optim
from minidl.functional import relu
from minidl.testing import check_gradients

RNG = np.random.default_rng(0)


class Block(nn.Module):
    """All that could go wrong: buffers, random numbers, shared inputs; it notes its inner result."""

    def __init__(self):
        self.conv, self.norm, self.dropout = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Dropout(0.5)
        self.inner = []

    def forward(self, x):
        inner = self.conv(x)
        self.inner.append(weakref.ref(inner.data))
        return self.dropout(relu(self.norm(inner) + x))


def net(checkpoint):
    minidl.manual_seed(1)
    block = Block()
    return nn.Sequential(nn.Conv2d(1, 3, 1), nn.Checkpoint(block) if checkpoint else block, nn.Flatten(),
                         nn.Linear(48, 4)), block


def trained(checkpoint, device="cpu", graph=False):
    model, _ = net(checkpoint)
    model.to(device)
    opt = optim.SGD(model.named_parameters(), 0.1, 0.9)
    rng = np.random.default_rng(0)

    def step(images, labels):
        opt.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        opt.step()
        return loss

    step = minidl.graphed(step) if graph else step
    minidl.manual_seed(9)
    losses = [step(Tensor(rng.standard_normal((5, 1, 4, 4), dtype=np.float32), device=device),
                   Tensor(rng.integers(0, 4, 5), device=device)).item() for _ in range(6)]
    return losses, model.state_dict()


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_training_has_the_same_bits(gpu, device):
    (losses, weights), (others, recomputed) = trained(False, device), trained(True, device)
    assert losses == others
    assert list(weights) == list(recomputed)
    for name, array in weights.items():
        np.testing.assert_array_equal(recomputed[name], array, err_msg=name)


def test_in_a_graph_the_random_numbers_are_the_same_again(gpu):
    assert trained(True, "gpu", graph=True)[0] == trained(False, "gpu")[0]


def test_inner_results_are_not_kept():
    x = Tensor(RNG.standard_normal((5, 1, 4, 4), dtype=np.float32))
    alive = {}
    for checkpoint in (False, True):
        model, block = net(checkpoint)
        out = model(x)
        alive[checkpoint] = block.inner[0]() is not None
        assert out.requires_grad
    assert alive == {False: True, True: False}


def test_the_batch_is_counted_once():
    model, block = net(True)
    F.mean(model(Tensor(RNG.standard_normal((5, 1, 4, 4), dtype=np.float32)))).backward()
    assert len(block.inner) == 2
    assert block.norm.num_batches_tracked.item() == 1


def test_gradients_of_the_inputs():
    class Curve(nn.Module):
        def forward(self, x):
            return F.tanh(x) * x

    block = nn.Checkpoint(Curve())
    check_gradients(lambda x: block(x) * block(x * 2), RNG.standard_normal((4, 3)))


def test_weights_changed_before_the_backward_pass_are_noticed():
    block = nn.Checkpoint(nn.Linear(3, 2))
    out = F.mean(block(np.ones((1, 3), np.float32)))
    optimizer = optim.SGD(block.parameters(), 0.1)
    F.mean(block(np.ones((1, 3), np.float32))).backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"backward of checkpoint: an array .* has been changed in place"):
        out.backward()


def test_names_and_eval_mode_are_those_of_the_module():
    linear = nn.Linear(3, 2)
    block = nn.Checkpoint(linear)
    assert list(nn.Sequential(block).state_dict()) == ["0.weight", "0.bias"]
    x = np.ones((1, 3), np.float32)
    with minidl.no_grad():
        np.testing.assert_array_equal(block(x).numpy(), linear(x).numpy())


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match="Checkpoint: a function is not a Module"):
        nn.Checkpoint(lambda x: x)
