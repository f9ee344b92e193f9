"""The last word on a trained model: how it does on images that it has never seen."""

from minidl.io import replacing
from minidl.train.evaluation import evaluate, in_order
from minidl.train.metrics import class_table, confusion_table, precision_recall_f1
from minidl.train.plots import draw_confusion


def report(model, dataset, device="cpu", loss=None, folder=None):
    """Evaluate the model and print accuracy, each class's precision, recall and F1, and the confusion matrix.

    With a RunFolder, the same goes into report.txt, metrics.json and confusion.png. Returns the Evaluation.
    """
    result = evaluate(model, in_order(dataset), len(dataset.classes), device, loss)
    text = as_text(result, dataset)
    print(f"\n{text}", flush=True)
    if folder is not None:
        with replacing(folder.report) as file:
            file.write(f"{text}\n".encode())
        folder.write_json("metrics.json", as_json(result, dataset))
        draw_confusion(folder.confusion, result.confusion, dataset.classes, headline(result, dataset))
    return result


def headline(result, dataset):
    """Accuracy in one line."""
    return (f"{dataset.name}: accuracy {result.accuracy:.2%} "
            f"({result.confusion.trace():,} of {len(dataset):,}), loss {result.loss:.4f}")


def as_text(result, dataset):
    """All that a reader wants to see."""
    return "\n\n".join([
        headline(result, dataset),
        class_table(result.confusion, dataset.classes),
        "rows: what it is; columns: what it was taken for\n" + confusion_table(result.confusion, dataset.classes),
    ])


def as_json(result, dataset):
    """All that a program wants to read."""
    columns = [dataset.classes, *(numbers.tolist() for numbers in precision_recall_f1(result.confusion))]
    keys = ("class", "precision", "recall", "f1")
    return {
        "dataset": dataset.name,
        "images": len(dataset),
        "accuracy": result.accuracy,
        "loss": result.loss,
        "classes": [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)],
        "confusion": result.confusion.tolist(),
    }
