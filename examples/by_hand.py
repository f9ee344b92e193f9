"""A bare training loop: train LeNet-5 on MNIST, then test it.

    python examples/by_hand.py          # or: python examples/by_hand.py digits, which needs no download

`minidl.train.fit` does the same, and also validates, saves checkpoints, resumes, logs and plots.
"""

import sys

import numpy as np

import minidl
import minidl.functional as F
from minidl import Tensor, data
from minidl.optim import SGD, OneCycleLR
from zoo.lenet import lenet5

EPOCHS = 5

name = sys.argv[1] if len(sys.argv) > 1 else "mnist"
train_set, test_set = data.load(name, "train"), data.load(name, "test")

minidl.manual_seed(0)
model = lenet5()
loader = data.DataLoader(train_set, batch_size=128, shuffle=True)
optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
schedule = OneCycleLR(optimizer, max_lr=0.05, total_steps=EPOCHS * len(loader), cycle_momentum=False)

for epoch in range(EPOCHS):
    model.train()
    for images, labels in loader:                       # float32 (128, 1, 28, 28), int64 (128,)
        loss = F.cross_entropy(model(Tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.4f}")

model.eval()
correct = 0
with minidl.no_grad():
    for images, labels in data.DataLoader(test_set, batch_size=1000):
        correct += np.count_nonzero(model(Tensor(images)).data.argmax(axis=1) == labels)
print(f"test accuracy {correct / len(test_set):.2%} ({len(test_set):,} images)")
