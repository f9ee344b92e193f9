"""The numbers of every epoch as `log.csv`, which spreadsheets and pandas read.

The rows belong to the run and are saved in its checkpoint. The file is written anew from them after each epoch, so a
run that was killed and resumed has each row once.
"""

import csv
import io

from minidl.io import replacing

COLUMNS = (
    "epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds",
)


def write_log(path, rows):
    """Write one line per row, a dictionary with COLUMNS as keys; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode())
