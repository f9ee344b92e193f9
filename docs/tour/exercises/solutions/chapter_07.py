"""Solutions of chapter 7."""

import numpy as np

import minidl
import minidl.functional as F
from minidl import Tensor, optim, train
from zoo.lenet import lenet5


def not_learning(model, images, labels):
    """The names of the parameters that receive no gradient, or one that is 0 everywhere."""
    model.zero_grad()
    F.cross_entropy(model(Tensor(images)), labels).backward()
    names = [name for name, parameter in model.named_parameters()
             if parameter.grad is None or not parameter.grad.any()]
    model.zero_grad()
    return names


def train_until(model, optimizer, loader, validation, patience, most_epochs):
    """Train until the validation loss has not improved for `patience` epochs; the model gets its best weights."""
    images_held, labels_held = validation
    losses = []
    while len(losses) < most_epochs and (not losses or len(losses) - 1 - int(np.argmin(losses)) < patience):
        model.train()
        for images, labels in loader:
            loss = F.cross_entropy(model(Tensor(images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with minidl.no_grad():
            losses.append(F.cross_entropy(model(Tensor(images_held)), labels_held).item())
        if losses[-1] == min(losses):
            best = model.state_dict()                    # copies
    model.load_state_dict(best)
    return losses


def suspects(images, labels, count):
    """The images with the largest losses of a LeNet-5 that has seen each of them a few times."""
    minidl.manual_seed(0)
    model = lenet5()
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    order = np.random.default_rng(0)
    for _ in range(5):
        for indices in np.array_split(order.permutation(len(images)), len(images) // 32):
            loss = F.cross_entropy(model(Tensor(images[indices])), labels[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    losses = F.cross_entropy(Tensor(train.predict(model, images)), labels, reduction="none").data
    return np.argsort(-losses)[:count]
