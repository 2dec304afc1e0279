import io
import sys
import time

import pytest
from rich.console import Console

from striate.training.progress import Bar, Lines, Silent, clock, describe, progress_for

RECORD = {"epoch": 1, "step": 10, "lr": 0.05, "train_loss": 1.23456, "train_accuracy": 0.5, "val_accuracy": 0.625}


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(time, "monotonic", stopped)
    return stopped


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, monotonic: Clock) -> io.StringIO:
    """What a terminal of 80 columns is sent by rich."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, get_time=monotonic)
    monkeypatch.setattr("rich.progress.get_console", lambda: console)
    return written


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (185, "3:05 min"), (3599, "59:59 min"), (7800, "2:10 h"),
     (100 * 3600, "100:00 h")],
)  # fmt: skip
def test_clock(seconds: float, text: str):
    assert clock(seconds) == text


def test_describe():
    assert describe(RECORD, 20) == "epoch  1/20  loss 1.2346  accuracy  50.00 %  val  62.50 %  lr 0.0500"
    without = {name: value for name, value in RECORD.items() if name != "val_accuracy"}
    assert describe(without, 3) == "epoch 1/3  loss 1.2346  accuracy  50.00 %  lr 0.0500"


def test_a_line_an_epoch(capsys: pytest.CaptureFixture[str], monotonic: Clock):
    lines = Lines(40, 4)
    with lines:
        monotonic.now += 20
        lines.step(10, 1.0, 0.5, 64)
        lines.epoch(RECORD, 1234.5)
    assert capsys.readouterr().out == f"{describe(RECORD, 4)}  1,234 samples/s  1:00 min left\n"


def test_a_line_every_half_minute(capsys: pytest.CaptureFixture[str], monotonic: Clock):
    lines = Lines(100, 1)
    for step in range(1, 6):
        monotonic.now += 16
        lines.step(step, 0.5, 0.25, 64)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "step 2/100  loss 0.5000  accuracy 25.00 %  26:08 min left",
        "step 4/100  loss 0.5000  accuracy 25.00 %  25:36 min left",
    ]


def test_time_left_after_resuming(capsys: pytest.CaptureFixture[str], monotonic: Clock):
    lines = Lines(40, 4, first_step=20)
    monotonic.now += 10
    lines.epoch({**RECORD, "epoch": 3, "step": 30}, 1.0)
    assert capsys.readouterr().out.endswith("  10 s left\n")


def test_the_bar_shows_all(screen: io.StringIO, monotonic: Clock):
    with Bar(1000, 60, 200) as bar:
        for step in range(201, 301):
            monotonic.now += 1
            bar.step(step, 0.5123, 0.8765, 12_345)
        bar.epoch({**RECORD, "epoch": 18, "step": 300}, 1.0)
    first, _, last = screen.getvalue().rpartition("epoch 18/60")
    assert "epoch 13/60" in first
    for text in ("val 62.5 %", "━━", "loss 0.5123", "acc 87.6 %", "12,345 samples/s", "11:40"):
        assert text in last, text


def test_the_bar_moves_ten_times_a_second_at_most(screen: io.StringIO, monotonic: Clock):
    with Bar(100, 1) as bar:
        bar.step(1, 0.1, 0.5, 32)
        monotonic.now += 0.05
        bar.step(2, 0.2, 0.5, 32)
        monotonic.now += 0.06
        bar.step(3, 0.3, 0.5, 32)
    assert "loss 0.2000" not in screen.getvalue()
    assert "loss 0.3000" in screen.getvalue()


def test_the_bar_ends_with_an_error(screen: io.StringIO):
    with pytest.raises(ValueError, match="in the body"), Bar(100, 1) as bar:
        bar.step(1, 0.1, 0.5, 32)
        raise ValueError("in the body")
    assert screen.getvalue().endswith("\x1b[?25h")


@pytest.mark.parametrize(("terminal", "kind"), [(True, Bar), (False, Lines)])
def test_the_bar_needs_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool, kind: type):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert isinstance(progress_for(10, 1), kind)


def test_silent(capsys: pytest.CaptureFixture[str]):
    with Silent() as silent:
        silent.step(1, 0.5, 0.5, 1)
        silent.epoch(RECORD, 1.0)
    assert capsys.readouterr() == ("", "")
