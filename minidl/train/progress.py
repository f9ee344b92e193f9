"""What a run tells while it goes: a bar on a terminal, plain lines elsewhere, and a line for every epoch.

The bar, and the lines between epochs, go to stderr; the line of an epoch goes to stdout, so it can be kept. A step
costs one look at the clock: text is made a few times a second at most. The first step may have to compile kernels, and
says nothing about the others; so rates and remaining times are reckoned from its end.
"""

import sys
import time

from tqdm import tqdm

REFRESH = 0.2                                    # seconds between two pictures of the bar


class Progress:
    """Shows how a run of `epochs` passes over `images` images comes on; a context, so that the bar is taken away.

    log_interval  seconds between lines where stderr is no terminal; 0 for none
    """

    def __init__(self, epochs, images, position, log_interval):
        self.epochs, self.images = epochs, images
        self.start_time = None                          # until the first step is done
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self.interval = REFRESH if terminal else log_interval or float("inf")
        self.bar = tqdm(total=epochs * images, initial=self.done(position), unit=" images", unit_scale=True,
                        leave=False, dynamic_ncols=True, mininterval=0, disable=not terminal)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def done(self, position):
        """How many images have been trained on."""
        return position.epoch * self.images + position.images

    def step(self, position):
        """Show how far the run is, if it is time to."""
        now = time.perf_counter()
        if self.start_time is None:
            self.start_time, self.start, self.due = now, self.done(position), now + self.interval
            self.bar.start_t, self.bar.initial = time.time(), self.start
        if now >= self.due:
            self.due = now + self.interval
            self.show(position, now)

    def show(self, position, now):
        """One picture of the bar, or one line."""
        done, shown = self.done(position), position.images or 1
        sums = f"loss {position.loss / shown:.4f}, accuracy {position.correct / shown:.2%}"
        if not self.bar.disable:
            self.bar.set_description_str(f"epoch {position.epoch + 1}/{self.epochs}", refresh=False)
            self.bar.set_postfix_str(sums, refresh=False)
            self.bar.update(done - self.bar.n)
            return
        rate = (done - self.start) / (now - self.start_time)
        left = (self.epochs * self.images - done) / rate
        print(f"epoch {position.epoch + 1}/{self.epochs}  {position.images:,}/{self.images:,} images  {sums}  "
              f"{rate:,.0f} images/s  {tqdm.format_interval(left)} left", file=sys.stderr, flush=True)

    def epoch(self, row, best):
        """The line of a finished epoch, as `log.csv` has it."""
        line = f"epoch {row['epoch']:>{len(str(self.epochs))}}/{self.epochs}   train {summary(row, 'train')}"
        if row["validation_loss"] is not None:
            line += f"   validation {summary(row, 'validation')}{' *' if best else '  '}"
        self.say(f"{line}   {row['seconds']:.1f} s")

    def say(self, line):
        """Print a line above the bar."""
        with tqdm.external_write_mode():
            print(line, flush=True)


def summary(row, name):
    """Loss and accuracy of one part of the data."""
    return f"loss {row[f'{name}_loss']:.4f} accuracy {row[f'{name}_accuracy']:.2%}"
