"""The final test: how a trained model performs on images that it has never seen."""

from collections.abc import Mapping
from pathlib import Path

from minidl.data import ImageDataset
from minidl.device import Device
from minidl.evaluation import Evaluation, Loss, evaluate, in_order
from minidl.nn import Module
from minidl.report.facts import facts_of
from minidl.report.files import write
from minidl.report.text import as_text
from minidl.text import write as say


def report(model: Module, dataset: ImageDataset, device: str | Device = "cpu", loss: Loss | None = None,
           folder: str | Path | None = None, *, part: str = "test", sets: Mapping[str, ImageDataset] | None = None,
           run: str | Path | None = None, best: int | None = None, tta: bool | str = False) -> Evaluation:
    """Evaluate the model and print accuracy, each class's precision, recall and F1, and the confusion matrix.

    folder  the same goes into report.txt, metrics.json and confusion.png of this folder, if one is given, and with
            plots and pictures into report.html; a missing folder is made
    part    which part of the data this is: "test", or "validation", for which the report says that it is no test
    sets    {"training": set, ...}, whose class distributions report.html shows
    run     the folder with the args.json and log.csv of the run that trained the model; by default `folder`
    best    the number of the epoch whose weights these are
    tta     test-time augmentation, see `evaluate`
    Returns the Evaluation.
    """
    result = evaluate(model, in_order(dataset), len(dataset.classes), device, loss, tta=tta)
    facts = facts_of(folder if run is None else run, part, sets, tta, best)
    say(f"\n{as_text(result, dataset, facts)}", flush=True)
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        write(folder, model, dataset, result, facts, device)
    return result


def report_run(model: Module, train_set: ImageDataset, validation_set: ImageDataset | None,
               test_set: ImageDataset | None, device: str | Device = "cpu", loss: Loss | None = None, *,
               folder: str | Path, best: int | None = None, tta: bool | str = False) -> None:
    """The report of a finished run: on the test set, else on the validation set, which it says.

    A run without both gets report.html with its curves and settings only.
    """
    sets = {"training": train_set, "validation": validation_set, "test": test_set}
    given = {name: dataset for name, dataset in sets.items() if dataset is not None}
    if test_set is validation_set:               # a caller that has no test set
        given.pop("test", None)
    part = next((name for name in ("test", "validation") if name in given), None)
    if part is None:
        write(folder, model, None, None, facts_of(folder, sets=given, best=best))
    else:
        report(model, given[part], device, loss, folder, part=part, sets=given, best=best, tta=tta)
