"""Runs of `fit` by the ranks of the tests: `mpiexec -n RANKS python runs.py NAME FOLDER [more]`."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

import minidl
import minidl.functional as F
from minidl import nn, optim, train
from minidl.data import drawn_digits
from minidl.distributed import MPI, DistributedError

DIGITS = drawn_digits(170, seed=3)
VALIDATION_SET, TRAIN_SET = DIGITS.take(70), DIGITS.subset(range(70, 170))
STEPS = 7                                        # per epoch; the last batch has four images


class Net(nn.Module):
    """A network with a norm, and with random numbers if there is dropout."""

    def __init__(self, dropout):
        self.conv = nn.Conv2d(1, 4, 5, stride=3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 8 * 8, 10)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.fc(self.dropout(F.flatten(F.relu(self.norm(self.conv(x))), 1)))


def run(folder, communicator, *, dropout=0.0, weights=7, train_set=TRAIN_SET, **settings):
    """The rows and the weights of a run."""
    minidl.manual_seed(weights)
    model = Net(dropout)
    optimizer = optim.SGD(model.named_parameters(), 0.05, momentum=0.9)
    schedule = optim.OneCycleLR(optimizer, 0.05, 3 * STEPS)
    settings = {"epochs": 3, "batch_size": 16, "seed": 1, "log_interval": 0, "ema_decay": 0.9, "clip_norm": 2.0,
                **settings}
    rows = train.fit(model, optimizer, train_set, VALIDATION_SET, output_dir=folder, schedule=schedule,
                     communicator=communicator, **settings)
    return rows, {name: array.copy() for name, array in model.state_dict().items()}


class At(train.Callback):
    """Calls a function after a step of the run, on one rank."""

    def __init__(self, communicator, rank, step, act):
        self.here, self.step, self.act = communicator.rank == rank, step, act

    def step_finished(self, run):
        if self.here and run.steps == self.step:
            self.act(run)


def shared(communicator, folder):
    """Runs that go well: the first is compared with one of rank 0 alone."""
    found = {}
    accumulate = 2 if communicator.size == 2 else 1
    found["rows"], weights = run(folder / "ranks", communicator, sync_batch_norm=True, accumulate=accumulate)
    assert len({len(each) for each in communicator.all_gather(found["rows"])}) == 1
    norms = communicator.all_gather([float(np.abs(array).sum()) for array in weights.values()])
    assert all(each == norms[0] for each in norms), "fit leaves other weights on another rank"
    if communicator.rank == 0:
        found["alone"], _ = run(folder / "alone", None, accumulate=accumulate)
    communicator.barrier()
    found["compressed"], _ = run(folder / "compressed", communicator, compress="bfloat16", sync_batch_norm=True)
    stopped = At(communicator, communicator.size - 1, 9, lambda run: run.stop("rank 1 wants it"))
    found["stopped"], _ = run(folder / "stopped", communicator, dropout=0.2, callbacks=[stopped])
    return found


def refused(communicator, folder):
    """Runs that must not begin, or must not go on: what is said, on all ranks alike."""
    last = communicator.size - 1
    odd = communicator.rank == last

    def spoil(run):
        run.model.fc.bias.data = run.model.fc.bias.data + 1
    attempts = {
        "seed": {"seed": 1 + odd}, "lr": {"recipe": {"lr": 1 + odd}},
        "data": {"train_set": DIGITS.subset(range(70 - odd, 170 - odd))},
        "compress": {"compress": "bfloat16" if odd else None}, "batch": {"batch_size": 1}, "graph": {"overfit": True},
        "weights": {"callbacks": [At(communicator, last, 9, spoil)]},
    }
    found = {}
    for name, settings in attempts.items():
        try:
            run(folder / name, communicator, **settings)
        except (ValueError, DistributedError) as error:
            found[name] = str(error)
    assert all(each == found for each in communicator.all_gather(found))
    return found


def resumed(communicator, folder, *how):
    """A run with dropout, which continues if it can; `how` ends it in step 10, on the last rank."""
    ends = {"kill": lambda run: os.kill(os.getpid(), signal.SIGKILL), "raise": lambda run: 1 / 0,
            "interrupt": lambda run: os.kill(os.getpid(), signal.SIGINT),
            "nan": lambda run: run.model.fc.weight.data.fill(np.nan),
            "full": lambda run: (folder / "run").rename(folder / "gone")}
    rank = 0 if "full" in how else communicator.size - 1
    callbacks = [At(communicator, rank, 10, ends[each]) for each in how if each in ends]
    rows, _ = run(folder / "run", communicator, dropout=0.2, resume=True, callbacks=callbacks, checkpoint_interval=0)
    return {"rows": rows}


def main():
    name, folder, *more = sys.argv[1:]
    communicator = MPI()
    found = globals()[name](communicator, Path(folder), *more)
    if communicator.rank == 0:
        Path(folder, f"{name}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    train.run_main(main)
