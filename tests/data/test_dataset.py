import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate.data import load
from striate.data.decode import Header


def test_digits():
    digits = load("digits", size=28)
    assert digits.classes == tuple("0123456789")
    assert (digits.channels, digits.size, digits.peak, digits.in_memory) == (1, (28, 28), 255, True)
    assert sorted(torch.cat(list(digits.parts.values())).tolist()) == list(range(1797))
    assert digits.labels.dtype == torch.int64
    pictures = digits.read(torch.tensor([3, 0]))
    assert pictures.shape == (2, 1, 28, 28)
    assert pictures.dtype == torch.uint8


def test_files_written_from_the_digits_give_the_very_pictures(tmp_path: Path):
    digits = load("digits")
    few = torch.arange(0, 200)
    for index, picture in zip(few.tolist(), digits.read(few), strict=True):
        path = tmp_path / digits.classes[digits.labels[index]] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture[0].numpy()).save(path)
    resampled = load("digits", size=(28, 20))
    for memory in (1 << 30, 0):
        folder = load(tmp_path, size=(28, 20), memory=memory)
        assert folder.in_memory == bool(memory)
        index = [int(Path(name).stem) for name in folder.names]
        assert torch.equal(folder.read(torch.arange(200)), resampled.read(torch.tensor(index)))


def test_a_folder_read_on_demand_is_the_folder_in_memory(pets: Path):
    held, streamed = load(pets, size=9), load(pets, size=9, memory=0)
    assert (held.in_memory, streamed.in_memory) == (True, False)
    samples = torch.tensor([22, 0, 7])
    assert torch.equal(held.read(samples), streamed.read(samples))
    assert held.size == streamed.size == (9, 9)
    assert {part: len(indices) for part, indices in held.parts.items()} == {"train": 19, "val": 2, "test": 2}


def test_large_arrays_are_resampled_when_read(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 6), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(20) % 2)
    held, small = (load(tmp_path / "data.npz", size=12, memory=memory) for memory in (1 << 20, 1000))
    assert small.store.pictures.shape == (20, 1, 6, 6)
    assert small.size == (12, 12)
    assert torch.equal(held.read(torch.arange(20)), small.read(torch.arange(20)))


def test_channels_follow_the_training_pictures(make):
    root = make(["train/a/1.png", "train/b/1.png", "test/a/2.png"])
    Image.new("RGB", (5, 6), (0, 255, 0)).save(root / "test" / "a" / "2.png")
    assert load(root).channels == 1
    assert load(root).read(torch.tensor([2])).unique().tolist() == [150]
    Image.new("RGB", (5, 6), (0, 255, 0)).save(root / "train" / "a" / "1.png")
    assert load(root).channels == 3
    assert load(root, channels=1).read(torch.tensor([0, 1])).shape == (2, 1, 6, 5)


def test_8_and_16_bits_land_on_one_scale(make):
    root = make(["a/1.png", "b/1.png"])
    Image.fromarray(np.full((6, 5), 128, np.uint8)).save(root / "a" / "1.png")
    Image.fromarray(np.full((6, 5), 128 * 257, np.uint16)).save(root / "b" / "1.png")
    for memory in (1 << 20, 0):
        mixed = load(root, memory=memory)
        assert mixed.peak == 65535
        assert mixed.read(torch.tensor([0, 1])).unique().tolist() == [128 * 257]


def test_sizes_that_differ_need_a_size(make, save):
    root = make(["a/1.png", "b/1.png"])
    save(root / "b" / "2.png", 0, (9, 4))
    with pytest.raises(
        ValueError, match=r"a/1\.png has \(6, 5\), b/2\.png has \(9, 4\) \(height, width\); give a size"
    ):
        load(root)
    assert load(root, size=(3, 4)).read(torch.tensor([2])).shape == (1, 1, 3, 4)


def test_classes_come_from_train(make):
    root = make(["train/a/1.png", "train/b/1.png", "val/a/2.png"])
    assert load(root).classes == ("a", "b")
    (root / "val" / "c").mkdir()
    assert load(root).classes == ("a", "b")
    (root / "val" / "a" / "2.png").rename(root / "val" / "c" / "2.png")
    with pytest.raises(ValueError, match=r"the class 'c' is in val \(val/c/2\.png\), but no training picture has it"):
        load(root)


def test_labels_count_the_training_classes(tmp_path: Path):
    np.savez(tmp_path / "data.npz", images=np.zeros((4, 2, 2)), labels=np.array([30, 4, 4, 30]))
    data = load(tmp_path / "data.npz")
    assert data.classes == ("4", "30")
    assert data.labels.tolist() == [1, 0, 0, 1]
    assert data.parts["val"].tolist() == data.parts["test"].tolist() == []
    assert data.notes == ("Fewer than 3 pictures, so in train only: 2 classes (30, 4).",)


def test_one_class_only(make):
    with pytest.raises(ValueError, match=r"pictures has 1 class to train on \(a\): a classifier needs two or more"):
        load(make(["a/1.png", "a/2.png"]))


def test_no_such_source(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r'no such source: .*gone; expected "digits", a folder, an \.npz or'):
        load(tmp_path / "gone")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"notes\.txt is no source of pictures"):
        load(tmp_path / "notes.txt")


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_a_file_that_is_no_picture_is_named(pets: Path, memory: int):
    (pets / "dogs" / "05.png").write_text("bark")
    with pytest.raises(ValueError, match=r"dogs/05\.png cannot be read as a picture"):
        load(pets, memory=memory)


def test_parts_of_an_earlier_run_come_back(pets: Path, save):
    first = load(pets, seed=5)
    again = load(pets, seed=6, parts=first.manifest()["parts"])
    assert all(torch.equal(first.parts[part], again.parts[part]) for part in first.parts)
    save(pets / "cats" / "new.png", 0)
    with pytest.raises(ValueError, match=r"do not match the stored parts: 1 sample new \(cats/new\.png\)"):
        load(pets, parts=first.manifest()["parts"])


@pytest.mark.parametrize("source", ["folder", "table"])
def test_the_source_is_left_as_it_was(pets: Path, source: str):
    rows = [f"{path.relative_to(pets)},{path.parent.name}" for path in sorted(pets.rglob("*.png"))]
    (pets / "data.csv").write_text("\n".join(["path,label", *rows]))
    before = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in pets.rglob("*")}
    data = load(pets if source == "folder" else pets / "data.csv", size=4)
    assert len(data.names) == 23
    assert before == {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in pets.rglob("*")}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"size": 0}, r"size must be a number of pixels or \(height, width\), each 1 or more, got \(0, 0\)"),
        ({"size": (4, 4, 4)}, "size must be"),
        ({"channels": 4}, "channels must be 1, 3 or None, got 4"),
    ],
)
def test_options_out_of_range(option, message):
    with pytest.raises(ValueError, match=message):
        load("digits", **option)


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load("digits").classes = ()
    assert Header(channels=1, peak=255, size=(1, 2)) == Header(channels=1, peak=255, size=(1, 2))


def test_importing_loads_neither_scikit_learn_nor_matplotlib():
    code = "import sys, striate.data; print(*sorted({'sklearn', 'matplotlib'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "\n"
