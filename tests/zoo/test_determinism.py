"""Training is reproducible bit by bit, in another process and with another number of threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minidl import kernels

TRAIN = """
import hashlib
import sys
import numpy as np
import minidl
import minidl.functional as F
import zoo
from minidl import Tensor, nn, optim

minidl.manual_seed(int(sys.argv[2]))
rng = np.random.default_rng(1)
model = zoo.create(sys.argv[1], num_classes=10)
optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
digest = hashlib.sha256()
for _ in range(3):
    images, labels = rng.standard_normal((9, 3, 32, 32), dtype=np.float32), rng.integers(0, 10, 9)
    optimizer.zero_grad()
    loss = F.cross_entropy(F.dropout(model(Tensor(images)), 0.1), labels)
    loss.backward()
    optimizer.step()
    digest.update(loss.data.tobytes())
for name, array in sorted(model.state_dict().items()):
    digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
print(digest.hexdigest())
"""


def train(name, seed=0, **environment):
    """A hash of the losses and of the final state of a network trained in a fresh process."""
    done = subprocess.run([sys.executable, "-c", TRAIN, name, str(seed)], text=True, capture_output=True, check=False,
                          env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.threads
@pytest.mark.parametrize("name", ["resnet20", pytest.param("mobilenet_v1_cifar", marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_bits(name):
    if kernels.settings.backend == "plain":
        pytest.skip("the plain backend leaves the order of sums to NumPy and its BLAS")
    own = train(name)
    assert own == train(name)
    assert own == train(name, NUMBA_NUM_THREADS="1")
    assert own == train(name, NUMBA_NUM_THREADS="3")
    assert own != train(name, seed=1)
