"""What a run prints: a progress bar on a terminal, plain lines elsewhere, and one line per epoch.

The bar and the lines within an epoch go to stderr, the line of an epoch to stdout, so that it can be kept. A step only
reads the clock: text is made a few times a second at most. The first step may compile kernels and is not
representative, so rates and remaining times count from its end.
"""

import sys
import time

from tqdm import tqdm

from minidl.device import CPU
from minidl.memory import held, size
from minidl.report.log import Row
from minidl.text import on_terminal, write
from minidl.train.callbacks import Callback
from minidl.train.run import Run

REFRESH = 0.2                                    # seconds between updates of the bar


class Progress(Callback):
    """Shows the progress of a run.

    log_interval  seconds between lines if stderr is not a terminal; 0 for none
    """

    def __init__(self, log_interval: float) -> None:
        self.log_interval = log_interval
        self.start_time, self.start, self.due = 0.0, 0, 0.0          # set at the end of the first step

    def run_started(self, run: Run) -> None:
        """Show the bar, if there is a terminal."""
        terminal = on_terminal()
        self.interval = REFRESH if terminal else self.log_interval or float("inf")
        self.bar = tqdm(total=run.length.epochs * run.length.images, initial=done(run), unit=" images", unit_scale=True,
                        leave=False, dynamic_ncols=True, mininterval=0, disable=not terminal)

    def step_finished(self, run: Run) -> None:
        """Update the bar or print a line, if one is due."""
        now = time.perf_counter()
        if not self.start_time:
            self.start_time, self.start, self.due = now, done(run), now + self.interval
            self.bar.start_t, self.bar.initial = time.time(), self.start
        if now >= self.due:
            self.due = now + self.interval
            self.show(run, now)

    def show(self, run: Run, now: float) -> None:
        """One update of the bar, or one line."""
        position, (epochs, _, images) = run.position, run.length
        sums = f"loss {position.train_loss:.4f}, accuracy {position.train_accuracy:.2%}{left_out(run)}"
        if not self.bar.disable:
            self.bar.set_description_str(f"epoch {position.epoch + 1}/{epochs}", refresh=False)
            self.bar.set_postfix_str(sums, refresh=False)
            self.bar.update(done(run) - self.bar.n)
            return
        memory = memory_held(run)
        rate = (done(run) - self.start) / (now - self.start_time)
        left = (epochs * images - done(run)) / rate
        write(f"epoch {position.epoch + 1}/{epochs}  {position.images:,}/{images:,} images  {sums}  "
              f"{rate:,.0f} images/s{memory}  {tqdm.format_interval(left)} left", sys.stderr, flush=True)

    def epoch_finished(self, run: Run, row: Row) -> None:
        """The line of a finished epoch, with the values of `log.csv`; * marks the best epoch so far."""
        epochs = str(run.length.epochs)
        line = f"epoch {row['epoch']:>{len(epochs)}}/{epochs}   train {summary(row, 'train')}"
        if row["validation_loss"] is not None:
            of_masks = f" IoU {row['validation_iou']:.2%}" if "validation_iou" in row else ""
            best = run.position.best is row
            line += f"   validation {summary(row, 'validation')}{of_masks}{' *' if best else '  '}"
        with tqdm.external_write_mode():         # above the bar
            write(f"{line}   {row['seconds']:.1f} s", flush=True)

    def run_finished(self, run: Run) -> None:
        """Remove the bar."""
        self.bar.close()


def done(run: Run) -> int:
    """The number of images processed in all epochs."""
    return run.here.epoch * run.length.images + run.here.images


def memory_held(run: Run) -> str:
    """The most memory that arrays have needed, if the run is on a GPU."""
    device = next(iter(run.model.parameters())).device if getattr(run, "model", None) else CPU
    return "" if device == CPU else f"  {size(held(device).kept)}"


def left_out(run: Run) -> str:
    """How many steps a GradScaler has left out, if there are any."""
    scaler = getattr(run, "scaler", None)
    count = scaler.skipped if scaler else 0
    return f", {count} step{'s' * (count != 1)} left out by the loss scale" if count else ""


def summary(row: Row, name: str) -> str:
    """Loss and accuracy of one part of the data."""
    return f"loss {row[f'{name}_loss']:.4f} accuracy {row[f'{name}_accuracy']:.2%}"
