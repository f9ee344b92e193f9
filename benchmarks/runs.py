"""Keep what a training run reached, and write the table of docs/results.md from all that is kept.

    python benchmarks/runs.py runs/cifar10 resnet20_cifar10         # keep this run under a name
    python benchmarks/runs.py                                       # write the table anew

Kept are log.csv, the curves, and the facts of the run in run.json, under benchmarks/results/runs/<name>/: never the
weights, and no path of the machine. A run that was cut short is kept with the epochs that it reached.
"""

import csv
import json
import shlex
import shutil
import sys
from pathlib import Path

import common
from tables import lines

from minidl.report.curves import draw_curves

ROOT = Path(__file__).parents[1]
KEPT, PAGE = common.RESULTS / "runs", ROOT / "docs" / "results.md"
APART = ("--output-dir", "--resume", "--data-dir", "--log-interval", "--checkpoint-interval")
MARKS = "<!-- runs -->", "<!-- end -->"
OF_SCRIPTS = {"lenet5": "lenet5", "speedrun": "airbench94", "unet": "unet"}      # runs whose recipe names no network
ELSEWHERE = {                                    # {the start of a run's name: what is known of such a run}
    "speedrun": "94 % in 3.3 s on an A100 (Jordan 2024)",
    "resnet20_cifar10": "91.25 % in 164 epochs (He et al. 2015, table 6)",
    "unet_membrane": "93.9 % of the pixels on the hidden test set (Ronneberger et al. 2015, table 1)",
}


def keep(folder, name):
    """Copy the small files of a run, and the facts that its table needs."""
    place = KEPT / name
    place.mkdir(parents=True, exist_ok=True)
    settings = json.loads((folder / "args.json").read_text())
    shutil.copyfile(folder / "log.csv", place / "log.csv")
    with open(folder / "log.csv", newline="") as file:
        rows = [{key: float(value) if value else None for key, value in row.items()} for row in csv.DictReader(file)]
    last = rows[-1]
    best = max(rows, key=lambda row: (row.get("validation_accuracy") or 0, row["epoch"]))
    draw_curves(place / "curves.png", rows, int(best["epoch"]), name)
    metrics = folder / "metrics.json"
    common_facts = {key: value for key, value in common.machine().items() if key != "torch"}
    facts = {
        "command": command(settings["command"]),
        "epochs": int(last["epoch"]),
        "epochs_planned": settings["recipe"]["epochs"],
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "machine": {**common_facts, "date": settings["date"][:10]},
        "recipe": settings["recipe"],
        "test": json.loads(metrics.read_text()) if metrics.exists() else None,
    }
    facts["test"] = facts["test"] and {key: value for key, value in facts["test"].items()
                                       if isinstance(value, int | float | str)}
    (place / "run.json").write_text(json.dumps(without_folders(facts), indent=1) + "\n")
    print(f"kept in {place}")


def without_folders(value):
    """The facts with the name of a file in place of its path on this machine."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


def command(words):
    """The command line that reproduces a run, without the flags that say where and how often it writes."""
    words, kept = map(without_folders, words), []
    for word in words:
        if word in APART:
            next(words)
        elif not word.startswith(tuple(f"{flag}=" for flag in APART)):
            kept.append(word)
    script = Path(kept[0]).name
    start = "minidl" if script in ("__main__.py", "minidl") else f"python examples/{script}"
    return shlex.join([*shlex.split(start), *kept[1:]])


def kept():
    """{name: its facts} of all runs that are kept."""
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(KEPT.glob("*/run.json"))}


def network_of(name, facts):
    """The network of the zoo that a run trained: as its recipe says, or as its script does."""
    return facts["recipe"].get("model") or next(
        network for start, network in OF_SCRIPTS.items() if name.startswith(start))


def cells(facts):
    """(accuracy, epochs, minutes) of a run, as text."""
    epochs, planned = facts["epochs"], facts["epochs_planned"]
    return (f"{facts['test']['accuracy']:.2%}" if facts["test"] else "not finished",
            str(epochs) if epochs == planned else f"{epochs} of {planned}", f"{facts['seconds'] / 60:.1f}")


def table():
    """A row for each run that is kept."""
    rows = []
    for name, facts in kept().items():
        accuracy, epochs, minutes = cells(facts)
        known = next((text for start, text in ELSEWHERE.items() if name.startswith(start)), "")
        rows.append(f"| [{name}](../benchmarks/results/runs/{name}/log.csv) | {accuracy} | {known} | {epochs} | "
                    f"{minutes} | {facts['machine']['date']} | `{facts['command']}` |")
    return ("| run | accuracy | known elsewhere | epochs | minutes | date | command |\n"
            f"|---|---:|---|---:|---:|---|---|\n{lines(rows)}")


def main(arguments):
    if arguments:
        keep(Path(arguments[0]), arguments[1])
    page = PAGE.read_text()
    start, end = (page.index(mark) for mark in MARKS)
    PAGE.write_text(f"{page[:start]}{MARKS[0]}\n\n{table()}\n\n{page[end:]}")


if __name__ == "__main__":
    main(sys.argv[1:])
