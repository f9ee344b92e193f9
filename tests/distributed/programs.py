"""What the ranks of the tests run: `mpiexec -n RANKS python programs.py FOLDER NAME...`; rank 0 writes NAME.npz."""

import sys

import numpy as np

import minidl
import minidl.functional as F
import zoo
from minidl import Tensor, nn, optim
from minidl.data import DataLoader, ImageDataset, drawn_digits
from minidl.distributed import MPI, GradientSum


def trained(model, dataset, communicator, *, steps, batch_size=16, lr=0.05, accumulate=1, bucket_bytes=1 << 14):
    """The weights after some steps by all ranks together."""
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    gradients = GradientSum(optimizer.parameters, communicator, bucket_bytes)
    loader = DataLoader(dataset, batch_size, shuffle=True, seed=1, prefetch=0,
                        part=(communicator.rank, communicator.size))
    done = 0
    while done < steps:
        for images, labels in loader:
            total = min(batch_size, len(dataset) - done % len(loader) * batch_size)
            optimizer.zero_grad()
            parts = np.array_split(np.arange(len(labels)), accumulate)
            for i, part in enumerate(parts):
                if i == accumulate - 1:
                    gradients.expect()
                out = model(Tensor(images[part].astype(next(iter(model.parameters())).dtype)))
                if len(part):
                    loss = F.cross_entropy(out, labels[part]) * (len(part) / total)
                else:
                    loss = out.sum() * 0.0
                loss.backward()
            gradients.finish()
            optimizer.step()
            done += 1
            if done == steps:
                break
    return model.state_dict()


def lenet(communicator):
    minidl.manual_seed(0)
    return trained(zoo.create("lenet5"), drawn_digits(120), communicator, steps=50, lr=0.01)


def accumulated(communicator):
    minidl.manual_seed(0)
    return trained(zoo.create("lenet5"), drawn_digits(120), communicator, steps=12, accumulate=2)


def few_images(communicator):
    """The last batch has two images, fewer than four ranks."""
    minidl.manual_seed(0)
    return trained(zoo.create("lenet5"), drawn_digits(34), communicator, steps=12)


def resnet20(communicator):
    minidl.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (66, 3, 32, 32)).astype(np.uint8)
    images[:, :, :, :16] //= 4
    images[33:] = images[33:, :, :, ::-1]
    dataset = ImageDataset(images, np.arange(66) // 33, "ab")
    model = zoo.create("resnet20", num_classes=2).to("cpu", "f8")
    nn.convert_sync_batch_norm(model, communicator)
    return trained(model, dataset, communicator, steps=50, lr=0.01)


class Branches(nn.Module):
    """Each rank uses a branch of its own, and none uses the last."""

    def __init__(self):
        self.branches = [nn.Linear(4, 2) for _ in range(3)]

    def forward(self, x, which):
        return self.branches[which](x)


def branches(communicator):
    """The gradient of branch i comes from rank i alone; the unused ones stay None."""
    minidl.manual_seed(0)
    model = Branches()
    gradients = GradientSum(list(model.parameters()), communicator, 1 << 20)
    gradients.expect()
    model(Tensor(np.ones((3, 4), np.float32)), communicator.rank % 2).sum().backward()
    gradients.finish()
    return {name: np.full(1, np.nan) if p.grad is None else p.grad for name, p in model.named_parameters()}


def compressed(communicator):
    """Gradients sent as bfloat16 against those in float32, on all ranks the same; with infinities and NaN."""
    minidl.manual_seed(0)
    model, rng, found = zoo.create("lenet5"), np.random.default_rng(communicator.rank), {}
    own = {name: rng.standard_normal(p.shape).astype(np.float32) for name, p in model.named_parameters()}
    special = own["fc3.bias"]
    special[:3] = np.inf, np.nan, [np.inf, -np.inf][communicator.rank % 2]
    for compress in (None, "bfloat16", "bfloat16"):
        gradients = GradientSum(list(model.parameters()), communicator, 1 << 14, compress)
        gradients.expect()
        for name, p in model.named_parameters():
            p.grad = own[name].copy()
        gradients.finish()
        sums = {name: p.grad.copy() for name, p in model.named_parameters()}
        assert len(set(communicator.all_gather(b"".join(array.tobytes() for array in sums.values()).hex()))) == 1
        if f"{compress}.fc3.bias" in found:
            assert all(np.array_equal(found[f"{compress}.{name}"], sums[name], equal_nan=True) for name in sums)
        found |= {f"{compress}.{name}": array for name, array in sums.items()}
    sizes = {name: np.abs(array) for name, array in own.items()}
    for array in sizes.values():
        communicator.all_reduce(array)
    return found | {f"sizes.{name}": array for name, array in sizes.items()}


def values(communicator):
    """What all ranks have said."""
    said = communicator.all_gather({"rank": communicator.rank, "text": "é" * communicator.rank})
    assert said == [{"rank": rank, "text": "é" * rank} for rank in range(communicator.size)]
    array = np.full(3, float(communicator.rank))
    communicator.broadcast(array)
    assert (array == 0).all()
    return {"size": np.array(communicator.size), "local": np.array(communicator.local_size)}


def few_images_again(communicator):
    return few_images(communicator)


if __name__ == "__main__":
    communicator = MPI()
    for name in sys.argv[2:]:
        result = globals()[name](communicator)
        if communicator.rank == 0:
            np.savez(f"{sys.argv[1]}/{name}.npz", **result)
