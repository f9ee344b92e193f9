"""The CIFAR-10 speed run in minidl and PyTorch: seconds of a training step of 1,024 images, and of the whole run.

Both sides train the same network by the recipe of `examples/cifar10_speedrun.py`, on images that they have augmented
themselves; a step includes making the batch, which minidl does ahead in a thread. PyTorch runs in NCHW and in
channels_last, and the faster one counts. The sides take steps in turns, within one process.

Run: `python benchmarks/speedrun.py`. With `--full NCHW` or `--full channels_last`, PyTorch trains to the end instead,
and its time and accuracy are stored.
"""

import argparse
import statistics
import sys
import time
from itertools import count
from pathlib import Path

import common
import numpy as np
import torch
import torch.nn.functional as TF
from torch import nn

import minidl
import minidl.functional as F
from minidl import Tensor, data
from minidl.evaluation import in_order

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import cifar10_speedrun as recipe

BATCH, EPOCHS, LR, MOMENTUM, WEIGHT_DECAY = 1024, 10, 1.5, 0.85, 0.00133        # the example's defaults
FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


class Group(nn.Module):
    def __init__(self, c, f):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(c, f, 3, padding=1, bias=False), shift_norm(f)
        self.conv2, self.norm2 = nn.Conv2d(f, f, 3, padding=1, bias=False), shift_norm(f)
        for conv in (self.conv1, self.conv2):
            nn.init.dirac_(conv.weight.data[:conv.in_channels])

    def forward(self, x):
        x = TF.gelu(self.norm1(TF.max_pool2d(self.conv1(x), 2)))
        return TF.gelu(self.norm2(self.conv2(x)))


def shift_norm(channels):
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad = False
    return norm


class Airbench(nn.Module):
    """`zoo/airbench.py` in PyTorch."""

    def __init__(self):
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad = False
        self.group1, self.group2, self.group3 = Group(24, 64), Group(64, 256), Group(256, 256)
        self.head = nn.Linear(256, 10, bias=False)

    def forward(self, x):
        x = self.group3(self.group2(self.group1(TF.gelu(self.whiten(x)))))
        return self.head(TF.max_pool2d(x, 3).flatten(1)) / 9


class TorchRun:
    """The speed run in PyTorch: `step` makes a batch and learns from it."""

    def __init__(self, train_set, form, seed=0):
        torch.manual_seed(seed)
        self.random = np.random.default_rng(seed)
        self.form, (images, labels) = form, train_set.batch(np.arange(len(train_set)))
        self.images, self.labels = torch.from_numpy(images), torch.from_numpy(labels)
        self.model = Airbench()
        self.model.whiten.weight.data = torch.from_numpy(minidl.nn.init.whitening(images[:5000], 2))
        self.model.whiten.bias.data.zero_()
        self.model = self.model.to(memory_format=form)
        self.epoch_steps = len(images) // BATCH
        self.steps = EPOCHS * self.epoch_steps
        self.optimizer = torch.optim.SGD(self.groups(), momentum=MOMENTUM, nesterov=True)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, [group["lr"] for group in self.optimizer.param_groups], self.steps + 1, pct_start=0.23,
            anneal_strategy="linear", cycle_momentum=False, div_factor=5, final_div_factor=0.2 / 0.07)
        self.averaged = [t for t in (*self.model.parameters(), *self.model.buffers()) if t.is_floating_point()]
        self.slow = [t.detach().clone() for t in self.averaged]
        self.done = 0

    def groups(self):
        """The parameters in two groups: biases of batch norms, and the others."""
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        factor = recipe.BIAS_FACTOR
        return [{"params": [p for name, p in named if "norm" in name], "lr": factor * LR,
                 "weight_decay": WEIGHT_DECAY / factor},
                {"params": [p for name, p in named if "norm" not in name], "lr": LR, "weight_decay": WEIGHT_DECAY}]

    def start_epoch(self, epoch):
        """Augment and shuffle all images."""
        if epoch == 0:
            self.flipped = torch.from_numpy(self.random.random(len(self.images)) < 0.5)
        self.order = torch.from_numpy(self.random.permutation(len(self.images)))
        self.shifts = torch.from_numpy(self.random.integers(-2, 3, (len(self.images), 2)))
        self.model.whiten.bias.requires_grad = epoch < recipe.WHITEN_EPOCHS

    def batch(self):
        """The next images, moved and flipped, and their labels."""
        epoch, step = divmod(self.done, self.epoch_steps)
        if step == 0:
            self.start_epoch(epoch)
        chosen = self.order[step * BATCH:(step + 1) * BATCH]
        places = torch.arange(32)
        rows, columns = (places + self.shifts[chosen, axis:axis + 1] for axis in (0, 1))
        rows, columns = (31 - (31 - each.abs()).abs() for each in (rows, columns))                # reflected
        mirrored = self.flipped[chosen] ^ bool(epoch % 2)
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        images = self.images[chosen[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return images.contiguous(memory_format=self.form), self.labels[chosen]

    def step(self):
        """Make a batch, and learn from it; returns the loss."""
        images, labels = self.batch()
        self.optimizer.zero_grad()
        loss = TF.cross_entropy(self.model(images), labels, label_smoothing=0.2)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.done += 1
        if self.done % 5 == 0:
            self.look_ahead(1 - 0.95**5 * (self.done / self.steps) ** 3)
        return loss.item()

    def look_ahead(self, alpha):
        """Move the slow weights towards the fast ones, and these onto them."""
        with torch.no_grad():
            torch._foreach_lerp_(self.slow, self.averaged, alpha)
            torch._foreach_copy_(self.averaged, self.slow)

    def accuracies(self, test_set):
        """(accuracy, accuracy with test-time augmentation): each image as it is, moved, and all mirrored."""
        self.model.eval()
        right = np.zeros(2)
        for images, labels in in_order(test_set):
            padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), "reflect")
            views = [view[..., ::side].copy() for view in (images, padded[:, :, :-2, :-2], padded[:, :, 2:, 2:])
                     for side in (1, -1)]
            with torch.inference_mode():
                logits = [self.model(torch.from_numpy(view).contiguous(memory_format=self.form)) for view in views]
            right += [(each.argmax(1).numpy() == labels).sum() for each in (logits[0], sum(logits))]
        return right / len(test_set)


def ours(train_set):
    """A function that takes a step of minidl's speed run."""
    model = recipe.whitened(train_set)
    optimizer = recipe.sgd(model, LR, MOMENTUM, WEIGHT_DECAY)
    loader = data.DataLoader(recipe.augmented(train_set), BATCH, shuffle=True, seed=0, drop_last=True)
    steps = EPOCHS * len(loader)
    schedule, average = recipe.rise_and_fall(optimizer, steps), recipe.lookahead(model, steps)
    batches = (batch for _ in count() for batch in loader)

    def step():
        images, labels = next(batches)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(Tensor(images)), labels, label_smoothing=0.2)
        loss.backward()
        optimizer.step()
        average.update()
        schedule.step()
        return float(loss)
    return step


def measure(rounds):
    """Median seconds of a step of each side; the sides alternate."""
    train_set = data.load("cifar10", "train")
    sides = {"minidl": ours(train_set)} | {name: TorchRun(train_set, form).step for name, form in FORMATS.items()}
    taken = {name: [] for name in sides}
    for i in range(rounds + 2):                               # the first two of each side are not counted
        for name, step in sides.items():
            begin = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - begin)
        print(f"step {i + 1}: " + ", ".join(f"{name} {times[-1]:.2f} s" for name, times in taken.items()), flush=True)
    seconds = {name: statistics.median(times[2:]) for name, times in taken.items()}
    return {**seconds, "ratio": min(seconds[form] for form in FORMATS) / seconds["minidl"]}


def train_pytorch(form, seed):
    """Seconds and accuracies of a whole run of PyTorch."""
    begin = time.perf_counter()
    run = TorchRun(data.load("cifar10", "train"), FORMATS[form], seed=seed)
    while run.done < run.steps:
        loss = run.step()
        if run.done % run.epoch_steps == 0 or run.done == run.steps:
            print(f"step {run.done}: loss {loss:.4f}, {time.perf_counter() - begin:.1f} s", flush=True)
    run.look_ahead(0)
    seconds = time.perf_counter() - begin
    plain, augmented = run.accuracies(data.load("cifar10", "test"))
    return {"format": form, "seed": seed, "seconds": seconds, "accuracy": plain, "augmented_accuracy": augmented}


def main():
    """Measure, print and store the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="steps of each side that count (default: 15)")
    parser.add_argument("--full", choices=FORMATS, help="let PyTorch train to the end, in this memory format")
    parser.add_argument("--seed", type=int, default=0, help="seed of that run")
    args = parser.parse_args()
    known = {key: value for key, value in common.load("speedrun").items() if key != "machine"}
    if args.full:
        result = {"full_run_of_torch": train_pytorch(args.full, args.seed) | {"date": common.machine()["date"]}}
    else:
        result = {"unit": "s", "batch": BATCH, "step": measure(args.rounds) | {"date": common.machine()["date"]}}
    print(*(f"{name}: {value}" for part in result.values() if isinstance(part, dict) for name, value in part.items()),
          sep="\n")
    common.save("speedrun", known | result)


if __name__ == "__main__":
    main()
