import importlib
import importlib.util
import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from striate.models.loading.preprocessing import Preprocessing

PLAIN = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
IMAGENET = replace(PLAIN, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def bytes_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_by_hand():
    picture = np.array([[[255, 0, 51]]], dtype=np.uint8)
    assert PLAIN(picture).tolist() == [[[1.0]], [[0.0]], [[pytest.approx(0.2)]]]
    assert replace(PLAIN, channels="BGR")(picture).flatten().tolist() == pytest.approx([0.2, 0.0, 1.0])
    caffe = Preprocessing(mean=(103.0, 116.0, 123.0), std=(1.0, 1.0, 2.0), channels="BGR", range=(0.0, 255.0))
    assert caffe(picture).flatten().tolist() == [51 - 103, -116, (255 - 123) / 2]
    half = replace(PLAIN, range=(-1.0, 1.0))
    assert half(picture).flatten().tolist() == pytest.approx([1.0, -1.0, -0.6])


@pytest.mark.parametrize("kind", ["array", "tensor", "picture", "palette"])
def test_kinds_of_pictures(kind: str):
    values = bytes_of(5, 7, 3)
    if kind == "palette":
        values = values // 128 * 255
    picture: Any = {
        "array": values,
        "tensor": torch.from_numpy(values),
        "picture": Image.fromarray(values),
        "palette": Image.fromarray(values).convert("P", palette=Image.Palette.ADAPTIVE),
    }[kind]
    found = PLAIN(picture)
    assert (found.shape, found.dtype, found.is_contiguous()) == ((3, 5, 7), torch.float32, True)
    torch.testing.assert_close(found, torch.from_numpy(values).permute(2, 0, 1) / 255)


def test_grey():
    grey = Preprocessing(mean=(0.5,), std=(0.25,), channels="L")
    values = bytes_of(4, 6)
    torch.testing.assert_close(grey(values), (torch.from_numpy(values)[None] / 255 - 0.5) / 0.25)
    assert grey(np.repeat(values[..., None], 3, 2)).shape == (1, 4, 6)
    assert PLAIN(values).shape == (3, 4, 6)


@pytest.mark.parametrize(
    ("size", "resize", "expected"),
    [
        (None, None, (9, 30)),
        ((8, 6), None, (8, 6)),
        (None, 3, (3, 10)),
        (None, (4, 5), (4, 5)),
        ((3, 3), 4, (3, 3)),
        ((4, 5), (4, 5), (4, 5)),
    ],
)
def test_sizes(size: Any, resize: Any, expected: tuple[int, int]):
    assert replace(PLAIN, size=size, resize=resize)(bytes_of(9, 30, 3)).shape == (3, *expected)


def test_the_middle_is_cut_out():
    values = bytes_of(6, 8, 3)
    found = replace(PLAIN, size=(4, 4), resize=(6, 8))(values)
    torch.testing.assert_close(found, torch.from_numpy(values[1:5, 2:6]).permute(2, 0, 1) / 255)


@pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="torchvision is not installed")
@pytest.mark.parametrize("sizes", [(60, 81), (81, 60), (20, 33), (40, 40)])
def test_same_as_torchvision(sizes: tuple[int, int]):
    importlib.import_module("benchmarks.peers.torchvision_on_cpu")
    presets = importlib.import_module("torchvision.transforms._presets")
    picture = Image.fromarray(bytes_of(*sizes, 3))
    theirs = presets.ImageClassification(crop_size=32, resize_size=37)(picture)
    torch.testing.assert_close(replace(IMAGENET, size=(32, 32), resize=37)(picture), theirs)
    theirs = presets.SemanticSegmentation(resize_size=37)(picture)
    torch.testing.assert_close(replace(IMAGENET, resize=37)(picture), theirs)


def test_for_channels():
    assert IMAGENET.for_channels(3) is IMAGENET
    grey = IMAGENET.for_channels(1)
    assert grey is not None and grey.channels == "L"
    assert (grey.mean, grey.std) == ((pytest.approx(0.449),), (pytest.approx(0.226),))
    assert IMAGENET.for_channels(4) is None
    assert grey.for_channels(3) is None


@pytest.mark.parametrize(
    "kept",
    [
        IMAGENET,
        Preprocessing(mean=(0.5,), std=(2.0,), channels="L", size=(1, 2), resize=(3, 4), interpolation="bicubic"),
        replace(PLAIN, channels="BGR", range=(0.0, 255.0), resize=7),
    ],
)
def test_as_text_and_back(kept: Preprocessing):
    assert Preprocessing.from_json(kept.to_json()) == kept
    with pytest.raises(FrozenInstanceError):
        kept.size = (1, 1)  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", "{}", '{"mean": [0.5]}', '{"mean": 0.5, "std": 1}', '{"mean": ["a"], "std": [1]}',
        json.dumps({"mean": [0.5], "std": [1], "channels": "L", "colour": 1}), "[" * 5000, " " * 20_000,
        json.dumps({"mean": [[]], "std": [1], "channels": "L"}), '{"mean": [NaN], "std": [1], "channels": "L"}',
        json.dumps({"mean": [0], "std": [1], "channels": ["L"]}),
        json.dumps({"mean": [0], "std": [1], "channels": "L", "range": 3}),
        json.dumps({"mean": [0], "std": [1], "channels": "L", "size": {"a": 1}}),
    ],
)  # fmt: skip
def test_text_that_is_none(text: str):
    with pytest.raises(
        ValueError, match=r"mean must be|preprocessing (must be an object|has a value)|must be one of|si"
    ):
        Preprocessing.from_json(text)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": "HSV"}, "channels must be one of RGB, BGR, L, got 'HSV'"),
        ({"interpolation": "box"}, "interpolation must be one of nearest, bilinear, bicubic, lanczos, got 'box'"),
        ({"mean": (0.5,)}, r"mean must be 3 numbers, one for each of RGB, got \(0.5,\)"),
        ({"std": (1.0, 1.0, float("inf"))}, "std must be 3 numbers"),
        ({"std": (1.0, 1.0, 0.0)}, "std must be above 0"),
        ({"range": (1.0, 1.0)}, r"range must be two numbers, the first the less, got \(1.0, 1.0\)"),
        ({"size": (0, 3)}, r"size must be a height and a width from 1 to 100000, got \(0, 3\)"),
        ({"size": 3}, "size must be a height and a width"),
        ({"size": (3, 3), "resize": True}, "resize must be a height and a width from 1 to 100000, got True"),
        ({"size": (3, 4), "resize": 3}, r"resize must be no less than size, got 3 and \(3, 4\)"),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **wrong)


@pytest.mark.parametrize(
    ("picture", "error", "message"),
    [
        ("cat.jpg", TypeError, r"picture must be a picture of PIL or bytes \(uint8\), got str"),
        (np.zeros((2, 2)), TypeError, "got ndarray of float64"),
        (torch.zeros(2, 2), TypeError, "got Tensor of float32"),
        (np.zeros((3, 2, 2), np.uint8), ValueError, r"picture must be \(H, W\) or \(H, W, 3\), got \(3, 2, 2\)"),
        (np.zeros((0, 2), np.uint8), ValueError, "picture must be"),
        (Image.new("I;16", (2, 2)), ValueError, r"must have a byte for each colour, got PIL's mode I;16: scale it"),
        (Image.new("F", (2, 2)), ValueError, "PIL's mode F"),
        (np.zeros((1, 2000), np.uint8), ValueError, "picture of 1x2000 is too long to be resized to 60"),
    ],
)
def test_what_is_no_picture(picture: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        replace(PLAIN, resize=60)(picture)
