import os
import threading

import numpy as np
import pytest
from PIL import Image

from striate.training.report import write_report


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_and_its_figures_are_written(some_run, tmp_path):
    folder = tmp_path / "runs" / "first"
    assert write_report(folder, some_run()) == folder / "report.html"
    figures = [f"figures/{name}.png" for name in ("confusion", "curves", "filters", "worst_mistakes")]
    assert sorted(files_of(folder)) == [*figures, "report.html"]
    for name in figures:
        with Image.open(folder / name) as image:
            assert image.format == "PNG" and all(200 < side < 3000 for side in image.size)
    assert "some-run" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_bytes(some_run, tmp_path):
    for name in "ab":
        write_report(tmp_path / name, some_run())
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_figures_with_nothing_to_show_are_removed(some_run, tmp_path):
    write_report(tmp_path, some_run())
    write_report(tmp_path, some_run(samples=0, epochs=[], filters=None))
    assert list(files_of(tmp_path)) == ["report.html"]


def test_pictures_of_one_pixel_and_one_epoch(some_run, tmp_path):
    run = some_run(
        samples=5, epochs=[{"epoch": 1, "train_loss": float("inf"), "train_accuracy": 0.5}],
        labels=np.ones(5, np.int64), probabilities=np.eye(3, dtype=np.float32)[[0] * 5],
        pictures=lambda positions: np.zeros((len(positions), 1, 1, 3), np.uint8),
        filters=np.zeros((1, 1, 1, 1), np.float32),
    )  # fmt: skip
    assert write_report(tmp_path, run).stat().st_size < 100_000


def test_names_that_no_font_and_no_encoding_knows(some_run, tmp_path):
    names = ["$\\frac{$", "猫", "قطة", "a\nb", "\udc80", "_^", "<img>", "🦉"]
    write_report(tmp_path, some_run(classes=names, names=[f"\udcff{n}_$.png" for n in range(40)]))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<bdi>猫</bdi>" in html and "<bdi>\\udc80</bdi>" in html and "&lt;img&gt;" in html


def test_a_failed_write_leaves_the_old_report(some_run, tmp_path, monkeypatch):
    write_report(tmp_path, some_run())
    before = files_of(tmp_path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_report(tmp_path, some_run(seed=1))
    assert files_of(tmp_path) == before


def test_a_report_can_be_written_in_a_thread(some_run, tmp_path):
    workers = [threading.Thread(target=write_report, args=(tmp_path / str(n), some_run())) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert files_of(tmp_path / "0") == files_of(tmp_path / "1") != {}
