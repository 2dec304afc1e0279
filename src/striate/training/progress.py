"""What a person sees while a network trains: a live bar in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol


class Progress(Protocol):
    """Told of every step and epoch; a context that is entered while training lasts."""

    def __enter__(self) -> "Progress":
        """Begin to show."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop showing."""
        ...

    def step(self, step: int, loss: float, accuracy: float, samples: int) -> None:
        """A step was taken; loss and accuracy are those of the epoch so far."""
        ...

    def epoch(self, record: Mapping[str, Any], rate: float) -> None:
        """An epoch ended; `rate` is in samples a second."""
        ...


class Silent:
    """Shows nothing."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def step(self, step: int, loss: float, accuracy: float, samples: int) -> None:
        """Do nothing."""

    def epoch(self, record: Mapping[str, Any], rate: float) -> None:
        """Do nothing."""


class Lines(Silent):
    """One line an epoch, and one every half a minute within long epochs; for log files and pipes."""

    def __init__(self, total_steps: int, epochs: int, first_step: int = 0) -> None:
        self._total, self._epochs, self._first = total_steps, epochs, first_step
        self._begun = self._shown = time.monotonic()

    def _left(self, step: int) -> str:
        taken = max(step - self._first, 1)
        return clock((time.monotonic() - self._begun) / taken * (self._total - step))

    def step(self, step: int, loss: float, accuracy: float, samples: int) -> None:
        """Print a line if none was printed for half a minute."""
        if time.monotonic() - self._shown > 30:
            self._shown = time.monotonic()
            shown = f"step {step}/{self._total}  loss {loss:.4f}  accuracy {100 * accuracy:.2f} %"
            print(f"{shown}  {self._left(step)} left", flush=True)

    def epoch(self, record: Mapping[str, Any], rate: float) -> None:
        """Print the epoch's line."""
        self._shown = time.monotonic()
        left = self._left(record["step"])
        print(f"{describe(record, self._epochs)}  {rate:,.0f} samples/s  {left} left", flush=True)


class Bar(Silent):
    """A live bar with loss, accuracy, samples a second and time left."""

    def __init__(self, total_steps: int, epochs: int, first_step: int = 0) -> None:
        from rich import progress

        self._epochs = epochs
        self._shown = 0.0
        self._samples, self._since = 0, time.monotonic()
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=None),
            progress.TextColumn("{task.fields[measures]}"),
            progress.TimeRemainingColumn(compact=True),
            expand=True,
        )
        epoch = min(first_step * epochs // total_steps + 1, epochs)
        self._task = self._bar.add_task(f"epoch {epoch}/{epochs}", total=total_steps, completed=first_step, measures="")

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def step(self, step: int, loss: float, accuracy: float, samples: int) -> None:
        """Move the bar, ten times a second at most."""
        self._samples += samples
        now = time.monotonic()
        if now - self._shown < 0.1:
            return
        rate = self._samples / max(now - self._since, 1e-9)
        measures = f"loss {loss:.4f}  acc {100 * accuracy:.1f} %  {rate:,.0f} samples/s"
        self._bar.update(self._task, completed=step, measures=measures)
        self._shown = now

    def epoch(self, record: Mapping[str, Any], rate: float) -> None:
        """Show the epoch's validation beside the bar."""
        self._samples, self._since = 0, time.monotonic()
        validation = f"  val {100 * record['val_accuracy']:.1f} %" if "val_accuracy" in record else ""
        done = f"epoch {record['epoch']}/{self._epochs}{validation}"
        self._bar.update(self._task, completed=record["step"], description=done)


def progress_for(total_steps: int, epochs: int, first_step: int = 0) -> Progress:
    """The bar where standard output is a terminal, plain lines where it is not."""
    kind = Bar if sys.stdout.isatty() else Lines
    return kind(total_steps, epochs, first_step)


def describe(record: Mapping[str, Any], epochs: int) -> str:
    """An epoch's measurements in one line."""
    text = f"epoch {record['epoch']:>{len(str(epochs))}}/{epochs}  loss {record['train_loss']:.4f}"
    text += f"  accuracy {100 * record['train_accuracy']:6.2f} %"
    if "val_accuracy" in record:
        text += f"  val {100 * record['val_accuracy']:6.2f} %"
    return f"{text}  lr {record['lr']:.4f}"


def clock(seconds: float) -> str:
    """A duration as people read it: `42 s`, `3:05 min`, `2:10 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
