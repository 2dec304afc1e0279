import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.cli.train import parse_size

Command = Callable[..., Any]
QUICK = ["--epochs", "1", "--batch-size", "10", "--precision", "float32", "--size", "14"]


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Contents and times of change of all files below a folder."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def own(tmp_path: Path, pictures: Path) -> Path:
    """A copy of the pictures that may be damaged."""
    return Path(shutil.copytree(pictures, tmp_path / "own"))


def test_from_pictures_to_answers(striate: Command, home: Path, pictures: Path):
    before = tree(pictures)
    trained = striate("train", pictures, *QUICK)
    assert trained.status == 0, trained.err
    accuracy, report = trained.out.splitlines()[-2:]
    assert re.fullmatch(r"test accuracy: \d{1,3}\.\d\d %", accuracy)
    run = Path("runs") / f"{pictures.name}-lenet5"
    assert report == f"report: {run / 'report.html'}"
    assert (home / run / "report.html").is_file()
    stored = json.loads((run / "result.json").read_text())
    assert accuracy == f"test accuracy: {100 * stored['accuracy']:.2f} %"
    assert f"epoch 1/1  loss {json.loads((run / 'metrics.jsonl').read_text())['train_loss']:.4f}" in trained.out
    measured = striate("evaluate", run)
    assert measured.out.splitlines()[-1] == accuracy
    assert striate("predict", run, pictures / "one" / "1.png").status == 0
    assert "finished" in striate("runs").out
    again = striate("resume", run)
    assert again.out.splitlines()[-2:] == [accuracy, report]
    assert tree(pictures) == before


def test_dry_run_writes_nothing(striate: Command, home: Path, pictures: Path):
    answer = striate("train", pictures, "--dry-run", "--lr", "0.01", "--no-augment", "--size", "14x20", "--out", "run")
    assert answer.status == 0
    for text in ("nought, one, two", "lenet5", "input 1x14x20", "lr 0.01 cosine", "augmentation off", "60 epochs of 1"):
        assert text in answer.out
    assert re.search(r"^memory: +weights [\d.]+ kB, gradients [\d.]+ kB, optimizer [\d.]+ kB", answer.out, re.MULTILINE)
    assert re.search(r"kept for the backward pass [\d.]+ kB, a step at its peak [\d.]+ MB\n", answer.out)
    assert os.listdir(home) == []


def test_options_reach_the_run(striate: Command, home: Path, pictures: Path):
    options = "--epochs 1 --batch-size 9 --lr 0.03 --schedule step --warmup 0.25 --momentum 0.5 --weight-decay 0.01"
    more = "--label-smoothing 0.2 --flip --seed 7 --precision bfloat16 --threads 1 --device cpu --workers 0"
    answer = striate("train", pictures, *options.split(), *more.split(), "--size", "12", "--out", "run")
    assert answer.status == 0, answer.err
    stored = json.loads(Path("run/config.json").read_text())["training"]
    assert stored.pop("augment")["flip"] is True
    assert stored == {
        "epochs": 1, "batch_size": 9, "lr": 0.03, "schedule": "step", "warmup": 0.25, "momentum": 0.5,
        "weight_decay": 0.01, "label_smoothing": 0.2, "seed": 7, "precision": "bfloat16", "threads": 1,
        "device": "cpu", "workers": 0, "checkpoint_seconds": 60.0,
    }  # fmt: skip


@pytest.mark.parametrize(("text", "size"), [(None, None), ("28", (28, 28)), ("28x40", (28, 40)), ("28X40", (28, 40))])
def test_size(text: str | None, size: tuple[int, int] | None):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "28x", "x28", "2x3x4", "0", "12x0", "-5", "2.5", "big", "²"])
def test_nonsense_for_a_size(text: str):
    with pytest.raises(ValueError, match=f"--size must be like 28 or 28x40, got {text!r}"):
        parse_size(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--model", "lenet"], "there is no network named 'lenet': did you mean lenet5 or "),
        (["digits", "--size", "big"], "--size must be like 28 or 28x40, got 'big'"),
        (["digits", "--size", "8"], "lenet5 needs pictures of at least 12x12 pixels, got a side of 8"),
        (["digits", "--epochs", "0"], "epochs must be at least 1, got 0"),
        (["digits", "--lr", "nan"], "lr must be at least 0 and below inf, got nan"),
        (["digits", "--seed", "99999999999999999999"], "seed must be below 2**64"),
        (["digits", "--flip", "--no-augment"], "--flip is part of the augmentation"),
        (["digits", "--schedule", "linear"], "'--schedule'"),
        (["no/such/source"], "no such source: no/such/source"),
    ],
)
def test_wrong_settings(striate: Command, home: Path, arguments: list[str], message: str):
    refused(striate, home, arguments, message)


def refused(striate: Command, home: Path, arguments: list[object], *words: str) -> None:
    """Expect one line of error and nothing written."""
    before = tree(home)
    answer = striate("train", *arguments)
    assert answer.status == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    for word in words:
        assert word in answer.err
    assert tree(home) == before


def test_empty_folder(striate: Command, home: Path, tmp_path: Path):
    (tmp_path / "nothing").mkdir()
    refused(striate, home, [tmp_path / "nothing"], f"{tmp_path / 'nothing'} holds no pictures")


def test_folder_without_classes(striate: Command, home: Path, pictures: Path):
    refused(striate, home, [pictures / "one"], str(pictures / "one"), "no folders of classes")


def test_one_class_only(striate: Command, home: Path, own: Path):
    for name in ("nought", "two"):
        shutil.rmtree(own / name)
    refused(striate, home, [own], str(own), "1 class to train on (one)")


def test_truncated_jpeg(striate: Command, home: Path, own: Path):
    file = own / "one" / "photo.jpg"
    Image.effect_noise((64, 64), 50).save(file)
    os.truncate(file, file.stat().st_size // 2)
    refused(striate, home, [own], str(file), "truncated")


def test_text_named_png(striate: Command, home: Path, own: Path):
    (own / "two" / "text.png").write_text("This is a text.")
    refused(striate, home, [own], str(own / "two" / "text.png"), "cannot be read as a picture")


def test_decompression_bomb(striate: Command, home: Path, own: Path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(bytes(100))]
    (own / "one" / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)
    )
    refused(striate, home, [own], str(own / "one" / "bomb.png"), "pixels")


def test_wrong_arrays(striate: Command, home: Path, tmp_path: Path):
    file = tmp_path / "data.npz"
    images = np.zeros((20, 14, 14), np.float32)
    labels = np.arange(20) % 2
    np.savez(file, images=images, labels=labels[:7])
    refused(striate, home, [file], str(file), "labels must be (20,)", "got (7,)")
    images[13, 2, 2] = np.nan
    np.savez(file, images=images, labels=labels)
    refused(striate, home, [file], str(file), "NaN", "images[13]")


def test_a_class_that_train_lacks(striate: Command, home: Path, own: Path):
    lines = [f"{name}/{file.name},{name},train" for name in ("one", "two") for file in (own / name).iterdir()]
    other = next((own / "nought").iterdir()).name
    (own / "list.csv").write_text("\n".join(["path,label,split", *lines, f"nought/{other},nought,test"]))
    refused(striate, home, [own / "list.csv"], "'nought' is in test", "no training picture has it")


def test_output_below_a_file(striate: Command, home: Path, pictures: Path):
    (home / "file").touch()
    refused(striate, home, [pictures, *QUICK, "--out", "file/run"], "cannot be written to file/run", "file is not a f")
    (home / "runs").touch()
    refused(striate, home, [pictures, *QUICK], "runs is not a folder")


def test_existing_run(striate: Command, home: Path, pictures: Path, trained: Path):
    shutil.copytree(trained, home / "run")
    refused(striate, home, [pictures, "--out", "run"], "run holds a run already: resume it (striate resume run)")
    (home / "other").mkdir()
    (home / "other" / "notes.txt").touch()
    refused(striate, home, [pictures, "--out", "other"], "other is not empty")


def test_full_disk(home: Path, pictures: Path):
    command = [sys.executable, "-m", "striate", "train", pictures, *QUICK, "--out", "run"]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 40; exec "$@"', "sh", *map(str, command)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write the checkpoint run/checkpoints/step-00000000: ")
    assert "File too large" in done.stderr
    assert done.stderr.count("\n") == 1
    assert os.listdir(home / "run" / "checkpoints") == []
