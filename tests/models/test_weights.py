import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.models.loading.filling import fit_weights
from torch import Tensor

from striate import models
from striate.models import LeNet5, Loaded, LoadReport, lenet5
from striate.models.loading.preprocessing import Preprocessing

Save = Callable[..., Path]


@pytest.fixture
def network() -> LeNet5:
    """A network of colour pictures in evaluation mode."""
    torch.manual_seed(0)
    return lenet5(in_channels=3).eval()


@pytest.fixture
def save(tmp_path: Path, network: LeNet5) -> Save:
    """Write the network's tensors, with some left out, others added or changed."""

    def write(*, without: tuple[str, ...] = (), **others: Tensor) -> Path:
        tensors = network.state_dict() | {name.replace("__", "."): value for name, value in others.items()}
        file = tmp_path / "weights.safetensors"
        save_file({name: value.contiguous() for name, value in tensors.items() if name not in without}, file)
        return file

    return write


def test_as_it_is(network: LeNet5, save: Save):
    file = save()
    before = hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns
    found = models.load("lenet5", file, in_channels=3)
    assert isinstance(found, Loaded)
    assert not found.network.training
    assert found.report == LoadReport(file=str(file), loaded=found.report.loaded)
    assert sorted(found.report.loaded) == sorted(network.state_dict())
    assert found.report.complete
    pictures = torch.randn(2, 3, 28, 28)
    assert torch.equal(found.network(pictures), network(pictures))
    with torch.no_grad():
        found.network.c1.weight.zero_()
    assert (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns) == before


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels(network: LeNet5, save: Save, channels: int):
    loaded, report = models.load("lenet5", str(save()), in_channels=channels)
    assert report.complete
    assert report.changed == (f"c1 has its filters summed over 3 channels and shared out among {channels}",)
    assert "c1.weight" in report.loaded
    assert loaded.config.in_channels == channels
    grey = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(loaded(grey.expand(-1, channels, -1, -1)), network(grey.expand(-1, 3, -1, -1)))


def test_other_classes(network: LeNet5, save: Save):
    loaded, report = models.load("lenet5", save(), in_channels=3, num_classes=4)
    assert report.complete
    assert report.changed == ("output begins anew: 10 classes in the file, 4 wanted",)
    assert set(report.loaded) == set(network.state_dict()) - {"output.weight", "output.bias"}
    pictures = torch.randn(2, 3, 28, 28)
    assert loaded(pictures).shape == (2, 4)
    assert torch.equal(loaded.features(pictures)["c5"], network.features(pictures)["c5"])
    assert loaded.output.weight.any()


def test_other_channels_and_other_classes(save: Save):
    _, report = models.load("lenet5", save(), num_classes=2)
    assert [change.partition(" ")[0] for change in report.changed] == ["output", "c1"]
    assert report.complete


def test_half_precision(network: LeNet5, save: Save):
    half = {name.replace(".", "__"): value.half() for name, value in network.named_parameters()}
    loaded, report = models.load("lenet5", save(**half), in_channels=3)
    assert report.complete
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.f6.weight, network.f6.weight.half().float())


def test_missing_unexpected_and_wrongly_sized(network: LeNet5, save: Save):
    file = save(without=("f6.bias",), c1__weight=torch.ones(6, 3, 3, 3), f7__weight=torch.ones(2))
    with pytest.raises(ValueError) as raised:
        models.load("lenet5", file, in_channels=3)
    loaded, report = models.load("lenet5", file, strict=False, in_channels=3)
    assert str(raised.value) == f"lenet5 cannot take these weights:\n{report}"
    assert not report.complete
    assert (report.missing, report.unexpected) == (("f6.bias",), ("f7.weight",))
    assert report.wrongly_sized == (("c1.weight", (6, 3, 3, 3), (6, 3, 5, 5)),)
    tensors = len(network.state_dict())
    assert str(report).splitlines() == [
        f"{file}: {tensors - 2} tensors loaded",
        "missing: f6.bias",
        "unexpected: f7.weight",
        "wrongly sized: c1.weight: (6, 3, 3, 3) in the file, (6, 3, 5, 5) in the network",
        "preprocessing: unknown",
    ]
    assert torch.equal(loaded.f6.weight, network.f6.weight)
    assert loaded.c1.weight.shape == (6, 3, 5, 5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"without": ("c5.weight",)}, "missing: c5.weight\n"),
        ({"c6__weight": torch.ones(1)}, "unexpected: c6.weight\n"),
        # Nothing but the classes may differ for the classifier to begin anew.
        ({"output__weight": torch.ones(5, 80)}, r"wrongly sized: output.weight: \(5, 80\) in the file, \(10, 84\)"),
        ({"c1__weight": torch.ones(7, 2, 5, 5)}, r"wrongly sized: c1.weight: \(7, 2, 5, 5\) in the file"),
    ],
)
def test_a_strict_load_refuses(save: Save, wrong: dict[str, Tensor], message: str):
    with pytest.raises(ValueError, match=message):
        models.load("lenet5", save(**wrong), in_channels=3)


def test_long_lists_are_cut():
    missing = tuple(f"layer{number}.weight" for number in range(11))
    assert str(LoadReport(file="file", loaded=("bias",), missing=missing)).splitlines() == [
        "file: 1 tensor loaded",
        f"missing: {', '.join(missing[:8])} and 3 more",
        "preprocessing: unknown",
    ]


def test_counters_of_batches_may_be_missing():
    class Counting(LeNet5):
        """With a counter that older files lack."""

        def __init__(self) -> None:
            super().__init__(models.LeNet5Config())
            self.norm = torch.nn.BatchNorm2d(2)

    network = Counting()
    given = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert len(given) == len(network.state_dict()) - 1
    assert fit_weights(network, given, "file").complete


def test_a_checkpoint_is_read_on_request(network: LeNet5, tmp_path: Path):
    file = tmp_path / "weights.pth"
    torch.save({"model": network.state_dict(), "epoch": 3}, file)
    with pytest.raises(ValueError, match=r"weights.pth: it is a PyTorch checkpoint, .* allow_pickle=True reads"):
        models.load("lenet5", file, in_channels=3)
    loaded, report = models.load("lenet5", file, in_channels=3, allow_pickle=True)
    assert report.complete
    pictures = torch.randn(2, 3, 28, 28)
    assert torch.equal(loaded(pictures), network(pictures))


def test_neither(tmp_path: Path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"weights.safetensors: 0 bytes are no safetensors file"):
        models.load("lenet5", file)


@pytest.mark.parametrize("kept", [4, 100, 5000])
def test_truncated_file(save: Save, kept: int):
    file = save()
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"weights.safetensors: .*(truncated|no safetensors file)"):
        models.load("lenet5", file, in_channels=3)


def test_nothing_is_built_before_the_check(save: Save, monkeypatch: pytest.MonkeyPatch):
    built: list[models.Network] = []

    def create(name: str, **options: int) -> models.Network:
        built.append(models.create(name, **options))
        return built[-1]

    monkeypatch.setattr("striate.models.weights.create", create)
    file = save(c1__weight=torch.ones(7, 3, 5, 5))
    with pytest.raises(ValueError, match="wrongly sized: c1.weight"):
        models.load("lenet5", file, in_channels=3)
    assert built and {value.device.type for network in built for value in network.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("dtype", "word"), [(torch.int8, "int8"), (torch.bool, "bool"), (torch.complex64, "complex64")]
)
def test_wrong_types(save: Save, dtype: torch.dtype, word: str):
    file = save(f6__bias=torch.zeros(84, dtype=dtype))
    with pytest.raises(ValueError, match=f"wrongly typed: f6.bias: {word} in the file, float32 in the network"):
        models.load("lenet5", file, in_channels=3)
    report = models.load("lenet5", file, in_channels=3, strict=False).report
    assert report.wrongly_typed == (("f6.bias", word, "float32"),)
    assert "f6.bias" not in report.loaded and not report.complete


def test_preprocessing_travels_in_the_file(network: LeNet5, tmp_path: Path):
    wished = Preprocessing(mean=(0.25, 0.5, 0.75), std=(1.0, 2.0, 3.0), size=(28, 28), resize=32)
    file = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), file, {"library": "striate", "preprocessing": wished.to_json()})
    found = models.load("lenet5", file, in_channels=3)
    assert found.preprocessing == wished
    assert str(found.report).endswith(
        "preprocessing: RGB of 28x28 from 0 to 1, less 0.25, 0.5, 0.75, divided by 1, 2, 3"
    )
    grey = models.load("lenet5", file).preprocessing
    assert grey is not None and (grey.channels, grey.mean, grey.std) == ("L", (0.5,), (2.0,))
    assert models.load("lenet5", file, in_channels=4).preprocessing is None


def test_preprocessing_that_is_none(network: LeNet5, tmp_path: Path):
    file = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), file, {"preprocessing": "halve"})
    assert models.load("lenet5", file, in_channels=3).preprocessing is None
    save_file(network.state_dict(), file, {"library": "striate", "preprocessing": '{"mean": 3}'})
    with pytest.raises(ValueError, match="weights.safetensors: preprocessing must be an object with mean, std"):
        models.load("lenet5", file, in_channels=3)


def test_no_file(tmp_path: Path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"there is no file {path}"):
            models.load("lenet5", path)


def test_a_file_without_tensors(tmp_path: Path):
    file = tmp_path / "empty.safetensors"
    save_file({}, file)
    with pytest.raises(ValueError, match=r"0 tensors loaded\nmissing: c1.weight"):
        models.load("lenet5", file)


def test_unknown_network_and_option(save: Save):
    with pytest.raises(ValueError, match="did you mean lenet5"):
        models.load("lenet6", save())
    with pytest.raises(TypeError, match="lenet5 has no option 'classes'"):
        models.load("lenet5", save(), classes=3)
