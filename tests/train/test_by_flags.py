"""Runs that flags describe: their optimizer, schedule and loss, exact resume, and what differs on resuming."""

from argparse import Namespace

import numpy as np
import pytest
import toy_run

from minidl import optim, train
from minidl.io import CheckpointError, load_checkpoint
from minidl.train import fill_in, fit_by_flags
from minidl.train.by_flags import optimizer_for, schedule_for
from minidl.train.recipes import RATES, RECIPES, recipe_for
from zoo import NETWORKS


def flags(line="", folder="runs/toy", name="none", **settings):
    """The flags of a script, with those that were not given filled in."""
    parser = train.training_parser("toy", "a toy", **{"epochs": 3, **settings})
    train.add_recipe_arguments(parser)
    args = train.parse(parser, ["--output-dir", str(folder), *line.split()])
    fill_in(args, name)
    return args


def scheduled(line, steps=10):
    """The learning rate in the middle of each epoch."""
    args = flags(f"--lr 1 --momentum 0 {line}")
    optimizer = optimizer_for(args, toy_run.net())
    schedule, every = schedule_for(args, optimizer, steps)
    seen = []
    for step in range(args.epochs * steps):
        if step % steps == steps // 2:
            seen.append(optimizer.lr)
        if schedule is not None and (every == "step" or step % steps == steps - 1):
            schedule.step(*([1.0] if optim.schedules.needs_metric(schedule) else []))
    return seen


def test_every_schedule():
    assert scheduled("--schedule constant --epochs 2") == [1, 1]
    assert scheduled("--schedule constant --epochs 4 --warmup 2") == pytest.approx([6 / 21, 16 / 21, 1, 1])
    assert scheduled("--schedule step --epochs 6") == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert scheduled("--schedule step --epochs 3 --gamma 0.5") == pytest.approx([1, 0.5, 0.25])
    assert scheduled("--schedule multistep --epochs 4") == pytest.approx([1, 1, 0.1, 0.01])
    assert scheduled("--schedule multistep --epochs 4 --milestones 2,3 --warmup 1") == pytest.approx(
        [6 / 11, 1, 0.1, 0.01])
    assert scheduled("--schedule exponential --epochs 2") == pytest.approx([0.1 ** 0.5, 0.1 ** 1.5])
    assert scheduled("--schedule exponential --epochs 2 --gamma 0.25") == pytest.approx([0.5, 0.125])
    assert scheduled("--schedule poly --epochs 2") == pytest.approx([0.75 ** 0.9, 0.25 ** 0.9])
    assert scheduled("--schedule cosine --epochs 2") == pytest.approx([0.5 + 0.5 ** 1.5, 0.5 - 0.5 ** 1.5])
    assert scheduled("--schedule warm-restarts --epochs 7") == pytest.approx(
        [0.5, 0.5 + 0.5 ** 1.5, 0.5 - 0.5 ** 1.5, *((1 + np.cos(np.pi * x / 8)) / 2 for x in (1, 3, 5, 7))])
    assert scheduled("--schedule plateau --epochs 4") == pytest.approx([1, 1, 1, 0.1])
    assert scheduled("--schedule plateau --epochs 5 --warmup 2") == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])
    one_cycle = scheduled("--epochs 10 --warmup 5")
    assert int(np.argmax(one_cycle)) in (4, 5)
    assert int(np.argmax(scheduled("--epochs 10"))) in (2, 3)


@pytest.mark.parametrize(("line", "message"), [
    ("--warmup 3", "--warmup 3 must be less than --epochs 3"),
    ("--milestones 1,2 --warmup 1 --schedule multistep", "--milestones 1 must come after the epochs of --warmup 1"),
    ("--milestones 2", "--milestones belongs to --schedule multistep, not to onecycle"),
    ("--gamma 0.1 --schedule cosine", "--gamma belongs to --schedule step, multistep, plateau and exponential"),
    ("--gamma 1.5 --schedule step", "--gamma 1.5 must be less than 1"),
])
def test_flags_that_do_not_fit_together(line, message):
    with pytest.raises(ValueError, match=message):
        scheduled(line)


@pytest.mark.parametrize("line", [
    "--optimizer lion", "--schedule linear", "--warmup -1", "--milestones 3,2", "--milestones x", "--gamma 0",
    "--layer-lr fc", "--layer-lr fc=-1", "--layer-lr =2", "--clip-norm 0", "--label-smoothing 1", "--mixup 0",
    "--cutmix x",
])
def test_bad_values_exit_with_2(line, capsys):
    with pytest.raises(SystemExit, match="2"):
        flags(line)
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(("line", "kind", "settings"), [
    ("--lr 0.3", optim.SGD, {"lr": 0.3, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}),
    ("--momentum 0", optim.SGD, {"lr": 0.05, "momentum": 0.0, "nesterov": False}),
    ("--optimizer adam", optim.Adam, {"lr": 1e-3, "weight_decay": 0.0}),
    ("--optimizer adamw --wd 0.5", optim.AdamW, {"lr": 1e-3, "weight_decay": 0.5}),
    ("--optimizer rmsprop", optim.RMSprop, {"lr": 1e-3, "momentum": 0.9, "weight_decay": 0.0}),
])
def test_optimizers(line, kind, settings):
    made = optimizer_for(flags(line), toy_run.net())
    assert type(made) is kind
    assert {name: getattr(made, name) for name in settings} == settings
    assert made.names == [name for name, _ in toy_run.net().named_parameters()]


def test_groups_of_parameters():
    args = flags("--lr 0.1 --wd 0.5 --layer-lr conv=0.1 --layer-lr fc.bias=0 --no-norm-decay")
    model = toy_run.net()
    made = optimizer_for(args, model)
    found = {name: (group["lr"], group["weight_decay"]) for group, name, *_ in made.members()}
    assert found["conv.weight"] == (pytest.approx(0.01), 0.5)
    assert found["fc.bias"] == (0.0, 0.0)
    assert found["norm.weight"] == (0.1, 0.0)
    schedule, _ = schedule_for(args, made, 4)
    assert schedule.base_lrs == [group["lr"] for group in optimizer_for(args, toy_run.net()).param_groups]
    with pytest.raises(ValueError, match="'con' is no part of Net") as caught:
        optimizer_for(flags("--layer-lr con=0.1"), model)
    assert caught.value.for_command.startswith("--layer-lr: 'con' is no part")


def trained(folder, line="", epochs=2):
    model = toy_run.net()
    args = flags(f"--epochs {epochs} -b 16 --log-interval 0 -j 0 --resume auto {line}", folder)
    fit_by_flags(args, model, toy_run.TRAIN_SET, toy_run.VALIDATION_SET)
    return model.state_dict()


@pytest.mark.parametrize("schedule", ["onecycle", "multistep", "warm-restarts", "plateau"])
def test_runs_resume_exactly(tmp_path, monkeypatch, schedule):
    """With groups, warm-up, clipping, mixing and weights of classes: stopped after some steps, and resumed."""
    line = (f"--schedule {schedule} --warmup 1 --layer-lr conv=0.1 --no-norm-decay --clip-norm 1 --mixup 0.2 "
            "--cutmix 1 --label-smoothing 0.1 --class-weights --balanced")
    straight = trained(tmp_path / "straight", line)
    step, taken = optim.SGD.step, []

    def stopping(self):
        step(self)
        taken.append(1)
        if len(taken) == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(optim.SGD, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", f"{line} --checkpoint-interval 0")
    resumed = trained(tmp_path / "stopped", f"{line} --checkpoint-interval 0")
    assert len(taken) > 10
    for name, array in straight.items():
        np.testing.assert_array_equal(resumed[name], array, err_msg=name)


USED = ("--optimizer adam --schedule multistep --milestones 2 --gamma 0.5 --warmup 1 --layer-lr conv=0.5 "
        "--no-norm-decay --clip-norm 3 --label-smoothing 0.1 --mixup 0.4 --class-weights --balanced")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run that is finished, so that the same settings find nothing to do."""
    folder = tmp_path_factory.mktemp("finished")
    trained(folder, USED)
    trained(folder, USED)
    return folder


@pytest.mark.parametrize(("other", "difference"), [
    ("--optimizer adamw", "(now 'AdamW("),
    ("--lr 0.5", "lr=0.001 (now 0.5)"),
    ("--wd 0.5", "weight_decay=0.0 (now 0.5)"),
    ("--milestones 2,3", "milestones=[2] (now [2, 3])"),
    ("--gamma 0.25", "gamma=0.5 (now 0.25)"),
    ("--warmup 0", "warmup=1 (now None)"),
    ("--layer-lr fc=0.5", "layer_lr=[['conv', 0.5]] (now [['conv', 0.5], ['fc', 0.5]])"),
    ("--clip-norm 4", "clip_norm=3.0 (now 4.0)"),
    ("--label-smoothing 0", "label_smoothing=0.1 (now None)"),
    ("--mixup 0.3", "mix='MixUp(alpha=0.4)' (now 'MixUp(alpha=0.3)')"),
    ("--cutmix 1", "mix='MixUp(alpha=0.4)' (now "),
])
def test_what_differs_on_resuming(finished, other, difference):
    with pytest.raises(CheckpointError) as caught:
        trained(finished, f"{USED} {other}")
    assert difference in str(caught.value)


def test_another_schedule_differs_behind_a_warm_up(tmp_path):
    trained(tmp_path, "--schedule cosine --warmup 1")
    with pytest.raises(CheckpointError, match=r"schedule_kind='cosine' \(now 'poly'\)"):
        trained(tmp_path, "--schedule poly --warmup 1")


def test_flags_that_are_not_used_are_not_in_the_recipe(tmp_path):
    """So that runs that were started before there were these flags can be resumed."""
    trained(tmp_path, epochs=1)
    recipe = load_checkpoint(tmp_path / "last.safetensors")[1]["recipe"]
    assert set(recipe) == {
        "accumulate", "batch_size", "ema_decay", "epochs", "limit", "lr", "momentum", "name", "optimizer", "patience",
        "schedule", "seed", "train_images", "validation", "validation_images", "weight_decay"}


def test_find_lr_keeps_a_picture_and_nothing_else(tmp_path, capsys):
    args = flags("--find-lr -b 16", tmp_path / "new" / "run")
    model = toy_run.net()
    assert fit_by_flags(args, model, toy_run.TRAIN_SET, toy_run.VALIDATION_SET) == []
    assert [path.name for path in (tmp_path / "new" / "run").iterdir()] == ["lr_finder.png"]
    out = capsys.readouterr().out
    assert "lr_finder.png\nsuggestion: --lr " in out
    for name, array in toy_run.net().state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], array)


def test_recipes():
    assert recipe_for("vgg16_bn_cifar").lr > recipe_for("vgg16_cifar").lr
    assert recipe_for("alexnet").lr < recipe_for("resnet18").lr
    assert recipe_for("unet").optimizer == "adam"
    for name in NETWORKS:
        assert recipe_for(name).optimizer in RATES
    assert all(any(network.startswith(name) for network in NETWORKS) for name in RECIPES)


@pytest.mark.parametrize(("given", "trained", "expected"), [
    ({}, False, ("sgd", 0.2, 5e-4, 128)),
    ({}, True, ("sgd", pytest.approx(0.04), 5e-4, 128)),
    ({"lr": 0.3, "batch_size": 7}, True, ("sgd", 0.3, 5e-4, 7)),
    ({"optimizer": "adamw"}, False, ("adamw", 1e-3, 0.01, 128)),
    ({"weight_decay": 0.0}, False, ("sgd", 0.2, 0.0, 128)),
])
def test_what_is_filled_in(given, trained, expected):
    args = Namespace(**{"optimizer": None, "lr": None, "weight_decay": None, "batch_size": None, **given})
    fill_in(args, "resnet20", trained=trained)
    assert (args.optimizer, args.lr, args.weight_decay, args.batch_size) == expected
