"""The results of every epoch as `log.csv`, for spreadsheets and pandas.

The rows are part of the run and are saved in its checkpoint. The whole file is rewritten after each epoch, so a run
that was killed and resumed has each row once.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minidl.io import replacing

COLUMNS = (
    "epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds",
)
Row = dict[str, Any]                             # the value of each column; None for losses that were not measured


def write_log(path: str | Path, rows: Iterable[Row]) -> None:
    """Write one line per row; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode())
