"""The common flags: their names, their defaults, and the values that argparse refuses."""

from pathlib import Path

import pytest

from minidl.train import fit_settings, parse, training_parser


@pytest.fixture
def parser(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return training_parser("toy", "a toy", epochs=3, batch_size=32, lr=0.1, weight_decay=5e-4, validation=50)


def test_defaults(parser):
    args = parse(parser, [])
    assert fit_settings(args) == {
        "accumulate": 1, "amp": None, "balanced": False, "batch_size": 32, "checkpoint_interval": 60.0,
        "clip_norm": None, "communicator": None, "compare_weights": True, "compress": None,
        "detect_nan": False, "device": "cpu", "drop_last": False, "dry_run": False, "ema_decay": None,
        "epochs": 3, "graph": None, "sync_batch_norm": False,
        "label_smoothing": 0.0, "log_interval": 10.0, "mix": None, "output_dir": Path("runs/toy"), "overfit": False,
        "overwrite": False, "patience": None, "prefetch": 2, "resident": None, "resume": False, "seed": 0,
        "tensorboard": False, "tta": False,
        "recipe": {"name": "toy", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "limit": None, "validation": 50},
    }


def test_a_script_without_a_search_for_a_learning_rate_does_not_train_instead(parser):
    with pytest.raises(ValueError, match="--find-lr: this script has no search"):
        fit_settings(parse(parser, ["--find-lr"]))


def test_views_of_the_report(parser):
    assert [parse(parser, line.split()).tta for line in ("--tta", "--tta shift", "")] == [True, "shift", False]


def test_short_and_long_names_agree(parser):
    short = parse(parser, ["-b", "8", "--wd", "0.1", "-j", "0"])
    long = parse(parser, ["--batch-size", "8", "--weight-decay", "0.1", "--workers", "0"])
    assert vars(short) == vars(long)
    assert (short.batch_size, short.weight_decay, short.prefetch) == (8, 0.1, 0)


@pytest.mark.parametrize("line", [
    "--epochs 0", "--epochs 1.5", "-b 0", "-b many", "--lr 0", "--lr -1", "--lr nan", "--lr inf", "--momentum 1",
    "--wd -1", "--accumulate 0", "--ema-decay 1", "--seed -1", "-j -1", "--patience 0", "--log-interval -1",
    "--checkpoint-interval -1", "--limit 0", "--validation -1", "--colour red", "more",
])
def test_invalid_flags_exit_with_2(parser, capsys, line):
    with pytest.raises(SystemExit) as caught:
        parse(parser, line.split())
    assert caught.value.code == 2
    *usage, error = capsys.readouterr().err.splitlines()
    assert usage[0].startswith("usage:")
    assert "error: " in error


@pytest.mark.parametrize(("line", "weights"), [
    ("", "runs/toy-2/best.safetensors"), ("--resume auto", "runs/toy-2/best.safetensors"),
    ("--resume runs/toy", "runs/toy/best.safetensors"), ("--output-dir runs/toy", "runs/toy/best.safetensors"),
    ("--resume runs/toy/last.safetensors", "runs/toy/last.safetensors"), ("--resume any.file", "any.file"),
])
def test_evaluate_names_the_weights(parser, line, weights):
    for folder in ("runs/toy", "runs/toy-2"):
        Path(folder).mkdir(parents=True)
        Path(folder, "last.safetensors").touch()
    Path("any.file").touch()
    assert parse(parser, ["--evaluate", *line.split()]).weights == Path(weights)
