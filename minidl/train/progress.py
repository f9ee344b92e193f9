"""What a run prints: a progress bar on a terminal, plain lines elsewhere, and one line per epoch.

The bar and the lines within an epoch go to stderr, the line of an epoch to stdout, so that it can be kept. A step only
reads the clock: text is made a few times a second at most. The first step may compile kernels and is not
representative, so rates and remaining times count from its end.
"""

import sys
import time

from tqdm import tqdm

from minidl.report.log import Row
from minidl.text import on_terminal, write
from minidl.train.run import Position

REFRESH = 0.2                                    # seconds between updates of the bar


class Progress:
    """Shows the progress of a run of `epochs` passes over `images` images; a context, which removes the bar at its end.

    log_interval  seconds between lines if stderr is not a terminal; 0 for none
    """

    def __init__(self, epochs: int, images: int, position: Position, log_interval: float) -> None:
        self.epochs, self.images = epochs, images
        self.start_time, self.start, self.due = 0.0, 0, 0.0          # set at the end of the first step
        terminal = on_terminal()
        self.interval = REFRESH if terminal else log_interval or float("inf")
        self.bar = tqdm(total=epochs * images, initial=self.done(position), unit=" images", unit_scale=True,
                        leave=False, dynamic_ncols=True, mininterval=0, disable=not terminal)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def done(self, position: Position) -> int:
        """The number of images processed in all epochs."""
        return position.epoch * self.images + position.images

    def step(self, position: Position) -> None:
        """Update the bar or print a line, if one is due."""
        now = time.perf_counter()
        if not self.start_time:
            self.start_time, self.start, self.due = now, self.done(position), now + self.interval
            self.bar.start_t, self.bar.initial = time.time(), self.start
        if now >= self.due:
            self.due = now + self.interval
            self.show(position, now)

    def show(self, position: Position, now: float) -> None:
        """One update of the bar, or one line."""
        done = self.done(position)
        sums = f"loss {position.train_loss:.4f}, accuracy {position.train_accuracy:.2%}"
        if not self.bar.disable:
            self.bar.set_description_str(f"epoch {position.epoch + 1}/{self.epochs}", refresh=False)
            self.bar.set_postfix_str(sums, refresh=False)
            self.bar.update(done - self.bar.n)
            return
        rate = (done - self.start) / (now - self.start_time)
        left = (self.epochs * self.images - done) / rate
        write(f"epoch {position.epoch + 1}/{self.epochs}  {position.images:,}/{self.images:,} images  {sums}  "
              f"{rate:,.0f} images/s  {tqdm.format_interval(left)} left", sys.stderr, flush=True)

    def epoch(self, row: Row, best: bool) -> None:
        """The line of a finished epoch, with the values of `log.csv`; * marks the best epoch so far."""
        line = f"epoch {row['epoch']:>{len(str(self.epochs))}}/{self.epochs}   train {summary(row, 'train')}"
        if row["validation_loss"] is not None:
            of_masks = f" IoU {row['validation_iou']:.2%}" if "validation_iou" in row else ""
            line += f"   validation {summary(row, 'validation')}{of_masks}{' *' if best else '  '}"
        self.say(f"{line}   {row['seconds']:.1f} s")

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        with tqdm.external_write_mode():
            write(line, flush=True)


def summary(row: Row, name: str) -> str:
    """Loss and accuracy of one part of the data."""
    return f"loss {row[f'{name}_loss']:.4f} accuracy {row[f'{name}_accuracy']:.2%}"
