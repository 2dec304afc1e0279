import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.data import Normalization, load

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def stored(folder: Path, images: np.ndarray):
    np.savez(folder / "data.npz", images=images, labels=np.arange(len(images)) % 2, split=["train"] * len(images))
    data = load(folder / "data.npz")
    return data, data.read(data.parts["train"]).double()


@pytest.mark.parametrize(
    "images",
    [
        np.random.default_rng(0).integers(0, 256, (150, 5, 4, 3), dtype=np.uint8),
        np.random.default_rng(0).integers(0, 65536, (150, 5, 4), dtype=np.uint16),
        np.random.default_rng(0).normal(1e4, 1, (150, 5, 4)).astype(np.float32),
    ],
)
def test_mean_and_deviation_of_the_training_part(tmp_path: Path, images):
    data, pictures = stored(tmp_path, images)
    found = Normalization.of(data)
    std, mean = torch.std_mean(pictures / data.peak, dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(torch.tensor(found.mean, dtype=torch.float64), mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.tensor(found.std, dtype=torch.float64), std, rtol=1e-12, atol=0)
    normal = found(data.read(data.parts["train"]))
    assert normal.dtype == torch.float32
    assert normal.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        normal.double(), (pictures / data.peak - mean.view(-1, 1, 1)) / std.view(-1, 1, 1), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("value", [0.1, 200])
def test_a_constant_channel_is_only_centred(tmp_path: Path, value):
    images = np.full((100, 3, 3), value, np.float64 if isinstance(value, float) else np.uint8)
    data, _ = stored(tmp_path, images)
    found = Normalization.of(data)
    assert found.std == (1.0,)
    assert found(data.read(torch.tensor([0]))).abs().max() < 1e-6


def test_workers_and_threads_change_nothing(pets: Path):
    held, streamed = load(pets, size=9), load(pets, size=9, memory=0)
    assert Normalization.of(held) == Normalization.of(streamed) == Normalization.of(streamed, workers=2)


def test_numbers_go_through_json_and_back():
    found = Normalization(mean=(0.1, 0.2, 1 / 3), std=(0.5, 0.25, 1.0), peak=255.0)
    assert Normalization(**json.loads(json.dumps(asdict(found)))) == found


def test_numbers_and_shapes_that_do_not_match(make):
    with pytest.raises(ValueError, match="expected a mean and a positive std for each channel"):
        Normalization(mean=(0.1,), std=(0.0,), peak=255.0)
    with pytest.raises(ValueError, match="expected a mean and a positive std for each channel"):
        Normalization(mean=(0.1, 0.1), std=(1.0,), peak=255.0)
    with pytest.raises(ValueError, match=r"pictures must be \(B, 1, H, W\), got \(2, 3, 4, 4\)"):
        Normalization(mean=(0.1,), std=(1.0,), peak=255.0)(torch.zeros(2, 3, 4, 4))
    with pytest.raises(ValueError, match="the part test is empty"):
        Normalization.of(load(make(["a/1.png", "b/1.png"])), "test")
