import numpy as np
import pytest
import torch

from striate.data.arrays import read_arrays


@pytest.fixture
def read(tmp_path):
    def write_and_read(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return read_arrays(tmp_path / "data.npz")

    return write_and_read


def test_names_labels_and_split(read):
    images = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    source = read(images=images, labels=np.array([10, 2, 2]), split=np.array(["train", "Valid", "test"]))
    assert torch.equal(source.pictures, torch.from_numpy(images)[:, None])
    assert source.names == ("images[0]", "images[1]", "images[2]")
    assert (source.targets, source.order) == (("10", "2", "2"), ("2", "10"))
    assert source.given == ("train", "val", "test")
    assert source.peak == 255


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 6, 5), (2, 1, 6, 5)),
        ((2, 6, 5, 3), (2, 3, 6, 5)),
        ((2, 6, 5, 1), (2, 1, 6, 5)),
        ((2, 3, 6, 5), (2, 3, 6, 5)),
        ((2, 1, 5, 3), (2, 3, 1, 5)),
    ],
)
def test_shapes(read, shape, expected):
    source = read(images=np.zeros(shape, np.uint8), labels=np.array(["a", "b"]))
    assert source.pictures.shape == expected
    assert source.pictures.is_contiguous()


@pytest.mark.parametrize(
    ("dtype", "high", "held", "peak"),
    [
        (np.int64, 255, torch.uint8, 255),
        (np.int64, 256, torch.int32, 65535),
        (np.uint16, 255, torch.int32, 65535),
        (np.uint16, 65535, torch.int32, 65535),
        (np.float64, 7.5, torch.float32, 1.0),
        (np.float16, 0.5, torch.float32, 1.0),
    ],
)
def test_types(read, dtype, high, held, peak):
    source = read(images=np.full((2, 3, 3), high, dtype), labels=np.arange(2))
    assert source.pictures.dtype == held
    assert source.pictures.unique().tolist() == [high]
    assert source.peak == peak


def test_labels_of_bytes(read):
    assert read(images=np.zeros((1, 3, 3)), labels=np.array(["ö".encode()])).targets == ("ö",)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_counted(read, wrong):
    images = np.zeros((4, 3, 3))
    images[2:, 1, 1] = wrong
    with pytest.raises(ValueError, match=r"images holds 2 values that are NaN or infinite, the first in images\[2\]"):
        read(images=images, labels=np.arange(4))


GOOD = {"images": np.zeros((2, 3, 3), np.uint8), "labels": np.arange(2)}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": np.arange(3)}, r"labels must be \(2,\), one for each of the images, got \(3,\)"),
        ({"labels": np.eye(2)}, r"labels must be \(2,\), one for each of the images, got \(2, 2\)"),
        ({"labels": np.zeros(2)}, "labels must be integers or strings, got float64"),
        ({"labels": np.array(["a", ""])}, r"labels\[1\] is empty"),
        ({"labels": np.array([{}, {}])}, "array 'labels' cannot be read: Object arrays cannot be loaded"),
        ({"split": np.array(["train", "dev"])}, r"split\[1\] must be one of train, val, .*, got 'dev'"),
        ({"split": np.array(["train"])}, r"split must be \(2,\)"),
        ({"images": np.zeros((2, 5, 5, 4), np.uint8)}, r"images must be .* got \(2, 5, 5, 4\)"),
        ({"images": np.zeros((2, 9), np.uint8)}, r"images must be \(N, H, W\), .*, got \(2, 9\)"),
        ({"images": np.zeros((0, 3, 3))}, r"images is empty: its shape is \(0, 1, 3, 3\)"),
        ({"images": np.full((2, 3, 3), -1)}, "images must be in 0..255 or 0..65535, got -1 to -1"),
        ({"images": np.zeros((2, 3, 3), bool)}, "images must be integers or floats, got bool"),
    ],
)
def test_arrays_that_cannot_be_used(read, arrays, message):
    with pytest.raises(ValueError, match=rf"data\.npz: {message}"):
        read(**(GOOD | arrays))


def test_a_missing_array(read):
    with pytest.raises(ValueError, match="has no array 'images'; it holds x, y"):
        read(x=np.zeros(1), y=np.zeros(1))


def test_files_that_are_no_archive(tmp_path, read):
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(ValueError, match=r"text\.npz is not an \.npz file"):
        read_arrays(tmp_path / "text.npz")
    read(**GOOD)
    whole = (tmp_path / "data.npz").read_bytes()
    (tmp_path / "data.npz").write_bytes(whole[:100])
    with pytest.raises(ValueError, match=r"data\.npz is not an \.npz file, or is truncated"):
        read_arrays(tmp_path / "data.npz")
    (tmp_path / "data.npz").write_bytes(whole[:60] + b"\xff" * 80 + whole[140:])
    with pytest.raises(ValueError, match=r"data\.npz: array 'images' cannot be read"):
        read_arrays(tmp_path / "data.npz")
