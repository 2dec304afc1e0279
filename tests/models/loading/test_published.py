import hashlib
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.cases import build, error, inputs

from striate import models
from striate.models import LeNet5
from striate.models.loading import published
from striate.models.loading.preprocessing import Preprocessing

CONFIG = {
    "architecture": "lenet",
    "pretrained_cfg": {
        "input_size": [3, 28, 28], "crop_pct": 0.875, "interpolation": "bicubic", "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "first_conv": "c1", "classifier": "output",
    },
}  # fmt: skip


@pytest.fixture
def network() -> LeNet5:
    torch.manual_seed(0)
    return models.lenet5(in_channels=3).eval()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PyTorch's folder of such files; nothing may be fetched."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))

    def urlopen(address: str, timeout: float) -> None:
        raise OSError(f"asked for {address}")

    monkeypatch.setattr("striate.models.loading.download.urlopen", urlopen)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def publish(
    cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, state: Any, *after: Any, zipped: bool = True
) -> Path:
    """Put a checkpoint where torchvision's of this name would be."""
    torch.save(state, cache / "new", _use_new_zipfile_serialization=zipped)
    file = cache / f"{name}-{hashlib.sha256((cache / 'new').read_bytes()).hexdigest()[:8]}.pth"
    os.replace(cache / "new", file)
    monkeypatch.setattr(published, "_TORCHVISION", {name: (file.name, *after)})
    return file


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_torchvision(network: LeNet5, cache: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool):
    file = publish(cache, monkeypatch, "lenet5", network.state_dict(), 32, (28, 28), zipped=zipped)
    loaded, report = models.load("lenet5", "torchvision", in_channels=3)
    assert report.complete and not report.changed and report.file == str(file)
    pictures = torch.randn(2, 3, 28, 28)
    assert torch.equal(loaded(pictures), network(pictures))
    assert report.preprocessing == Preprocessing(
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), size=(28, 28), resize=32
    )


def test_torchvision_of_videos(network: LeNet5, cache: Path, monkeypatch: pytest.MonkeyPatch):
    publish(cache, monkeypatch, "lenet5", network.state_dict(), (32, 40), (28, 28))
    found = models.load("lenet5", "torchvision", in_channels=3).preprocessing
    assert found is not None and (found.mean[0], found.resize) == (0.43216, (32, 40))


def test_torchvisions_auxiliary_heads_and_pictures(cache: Path, monkeypatch: pytest.MonkeyPatch):
    network = build("googlenet", transform_input=True).eval()
    publish(cache, monkeypatch, "googlenet", network.state_dict(), 256, (224, 224))
    found, report = models.load("googlenet", "torchvision", num_classes=7)
    assert report.complete and not report.changed
    assert (found.config.transform_input, found.config.aux_logits) == (True, True)
    pictures = inputs(network)
    with torch.no_grad():
        assert error(found(pictures), network(pictures)) <= 1e-6
    found, report = models.load("googlenet", "torchvision", num_classes=7, aux_logits=False, transform_input=False)
    assert report.complete
    assert report.changed == ("aux1, aux2 left out: the network was built without auxiliary heads",)
    assert (found.config.transform_input, found.config.aux_logits) == (False, False)


def test_published_without_auxiliary_heads(cache: Path, monkeypatch: pytest.MonkeyPatch):
    network = build("googlenet", aux_logits=False).eval()
    publish(cache, monkeypatch, "googlenet", network.state_dict(), 256, (224, 224))
    found, report = models.load("googlenet", "torchvision", num_classes=7)
    assert report.complete and not found.config.aux_logits


def test_nothing_published(cache: Path):
    with pytest.raises(
        ValueError, match="there are no weights of torchvision for lenet5: expected one of alexnet, fcn"
    ):
        models.load("lenet5", "torchvision")
    with pytest.raises(
        ValueError, match="there are no weights of timm for alexnet: expected one of inception_v3, mobil"
    ):
        models.load("alexnet", "timm")


def test_offline(cache: Path):
    with pytest.raises(
        ConnectionError, match=r"cannot fetch https://.*/resnet18-f37072fd.pth: asked for .* by its path"
    ):
        models.load("resnet18", "torchvision")
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="torchvision is not installed")
def test_the_table_is_torchvisions():
    importlib.import_module("benchmarks.peers.torchvision_on_cpu")
    theirs = importlib.import_module("torchvision.models")
    assert sorted(published._TORCHVISION) == sorted(set(models.names()) & set(theirs.list_models()))
    for name, (file, resize, size) in published._TORCHVISION.items():
        default = theirs.get_model_weights(name).DEFAULT
        assert default.url == published._SERVER + file, name
        about = default.transforms()
        mean, std = published._KINETICS if isinstance(resize, tuple) else published._IMAGENET
        assert (list(mean), list(std)) == (list(about.mean), list(about.std)), name
        assert list(about.resize_size) == (list(resize) if isinstance(resize, tuple) else [resize]), name
        cut = getattr(about, "crop_size", None)
        assert size == (None if cut is None else tuple(cut) * (2 // len(cut))), name
        assert about.interpolation.value == "bilinear"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The hub's own folder, filled as its library does, and no network."""
    pytest.importorskip("huggingface_hub")
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def fill(repository: str, **files: bytes) -> None:
        folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("0" * 40)
        (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
        for name, content in files.items():
            (folder / "snapshots" / ("0" * 40) / name.replace("__", ".")).write_bytes(content)

    return fill


def file_of(network: LeNet5, folder: Path) -> bytes:
    save_file(network.state_dict(), folder / "file")
    return (folder / "file").read_bytes()


def test_hub(network: LeNet5, hub: Callable[..., None], tmp_path: Path):
    hub("org/net", model__safetensors=file_of(network, tmp_path), config__json=json.dumps(CONFIG).encode())
    loaded, report = models.load("lenet5", "hub:org/net", in_channels=3)
    assert report.complete
    assert torch.equal(loaded.f6.weight, network.f6.weight)
    assert report.preprocessing == Preprocessing(
        mean=(0.5,) * 3, std=(0.25,) * 3, size=(28, 28), resize=32, interpolation="bicubic"
    )
    assert models.load("lenet5", "hub:org/net@main", in_channels=3).report == report


def test_timm(network: LeNet5, hub: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(published, "_TIMM", {"lenet5": "lenet.tag_in1k"})
    hub("timm/lenet.tag_in1k", model__safetensors=file_of(network, tmp_path))
    loaded = models.load("lenet5", "timm", in_channels=3)
    assert loaded.report.complete and loaded.preprocessing is None


@pytest.mark.parametrize(
    ("changed", "resize", "size"),
    [
        ({"crop_pct": 1.0}, 28, (28, 28)),
        ({"crop_pct": None}, 28, (28, 28)),
        ({"crop_mode": "squash"}, (32, 32), (28, 28)),
        ({"input_size": [3, 28, 56]}, (32, 64), (28, 56)),
    ],
)
def test_what_timm_says_of_pictures(tmp_path: Path, changed: dict[str, Any], resize: Any, size: tuple[int, int]):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"pretrained_cfg": {**CONFIG["pretrained_cfg"], **changed}}))
    found = published._of_timm(file)
    assert found is not None and (found.resize, found.size) == (resize, size)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b" " * 2_000_000, b'{"pretrained_cfg": 3}',
        json.dumps({"pretrained_cfg": {**CONFIG["pretrained_cfg"], "crop_pct": -1}}).encode(),
        json.dumps({"pretrained_cfg": {**CONFIG["pretrained_cfg"], "crop_pct": 1e-320}}).encode(),
        json.dumps({"pretrained_cfg": {**CONFIG["pretrained_cfg"], "mean": [0.5]}}).encode(),
        json.dumps({"pretrained_cfg": {**CONFIG["pretrained_cfg"], "interpolation": "random"}}).encode(),
        json.dumps({"pretrained_cfg": {**CONFIG["pretrained_cfg"], "input_size": [4, 8, 8]}}).encode(),
    ],
)  # fmt: skip
def test_nothing_said_of_pictures(tmp_path: Path, text: bytes):
    file = tmp_path / "config.json"
    file.write_bytes(text)
    assert published._of_timm(file) is None


def test_offline_hub(hub: Callable[..., None]):
    with pytest.raises(ConnectionError, match="cannot fetch model.safetensors of org/none"):
        models.load("lenet5", "hub:org/none")


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[str]:
    """Have the hub's library answer so for each file; the files that were asked for."""
    library = pytest.importorskip("huggingface_hub")
    asked = []

    def download(repository: str, file: str, *, revision: str | None) -> str:
        asked.append(file)
        if isinstance(answers[file], Exception):
            raise answers[file]
        return str(answers[file])

    monkeypatch.setattr(library, "hf_hub_download", download)
    return asked


def test_a_repository_with_a_checkpoint_alone(network: LeNet5, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    errors = pytest.importorskip("huggingface_hub").errors
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    none = errors.EntryNotFoundError("no such file")
    answers = {"model.safetensors": none, "pytorch_model.bin": tmp_path / "pytorch_model.bin", "config.json": none}
    asked = answering(monkeypatch, answers)
    with pytest.raises(ValueError, match="org/net has no model.safetensors$"):
        models.load("lenet5", "hub:org/net", in_channels=3)
    assert asked == ["model.safetensors"]
    assert models.load("lenet5", "hub:org/net", in_channels=3, allow_pickle=True).report.complete


def test_no_such_repository(monkeypatch: pytest.MonkeyPatch):
    errors = pytest.importorskip("huggingface_hub").errors
    missing = errors.HFValidationError("Repo id must be otherwise")
    answering(monkeypatch, {"model.safetensors": missing})
    with pytest.raises(ValueError, match="the hub has no org/net@v1: Repo id must be otherwise"):
        models.load("lenet5", "hub:org/net@v1")


def test_a_server_that_fails(monkeypatch: pytest.MonkeyPatch):
    answering(monkeypatch, {"model.safetensors": OSError("disk full")})
    with pytest.raises(ConnectionError, match="cannot fetch model.safetensors of org/net: disk full"):
        models.load("lenet5", "hub:org/net")


@pytest.mark.parametrize("weights", ["hub:", "hub:net", "hub:org/net@", "hub:../net/x", "hub:org/net file"])
def test_no_name_of_a_repository(weights: str):
    with pytest.raises(ValueError, match="weights must be hub:ORG/NAME or hub:ORG/NAME@REVISION, got 'hub:"):
        models.load("lenet5", weights)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"weights from the hub need the extra: pip install 'striate\[hub\]'"):
        models.load("resnet18", "timm")
