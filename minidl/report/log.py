"""The results of every epoch as `log.csv`, for spreadsheets and pandas.

The rows are part of the run and are saved in its checkpoint. The whole file is rewritten after each epoch, so a run
that was killed and resumed has each row once.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidl.io import replacing

COLUMNS = (
    "epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds",
)
OF_MASKS = ("validation_iou", "validation_dice")     # further columns, if labels are masks: means over the classes
Row = dict[str, Any]                             # the value of each column; None for what was not measured


def write_log(path: str | Path, rows: Sequence[Row]) -> None:
    """Write one line per row, whose keys are the columns; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0] if rows else COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode())
