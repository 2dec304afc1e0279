import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from tests.models.notation.test_building import SINGLE
from tests.models.notation.texts import networks
from torch import nn

from striate import models
from striate import nn as layers
from striate.models import notation
from striate.models.notation import CLASSICS

# PyTorch alone: whatever imports striate fails.
RUN = """
import sys
import torch
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "striate":
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    network = __import__(name).Network()
    network.load_state_dict(torch.load(f"{sys.argv[1]}/{name}.pt", weights_only=True))
    torch.manual_seed(0)
    scores = network.eval()(torch.load(f"{sys.argv[1]}/{name}_input.pt", weights_only=True))
    torch.save(scores.detach(), f"{sys.argv[1]}/{name}_scores.pt")
assert "striate" not in sys.modules
"""

PORTABLE = {
    "lenet": """conv 6 5x5 same, tanh, avgpool 2, conv 16 5x5, tanh, avgpool 2, flatten, linear 120, tanh,
        linear classes""",
    "padded": """input 3x17x14, conv 4 3 same_upper /2, conv 4 4 same, conv 4 3 pad 0:2x1:0 circular,
        conv 4 2 causal reflect, maxpool 3 same_lower /2, avgpool 2 same, globalmax, linear classes""",
    "branches": """input 3x9x9, 2*(residual(conv 3 3 same, bn, relu)), residual(abs | conv 3 1),
        concat(relu | maxpool 3 /1 pad 1), sum(identity | conv 6 1), body: 2*(conv 4 3), (gn 2, gelu), globalavg,
        linear classes""",
    "passes": """input 4x11x12, separable 6 3 same /2, separable 6 3 same multiplier 2 nobias,
        depthwise 4 same multiplier 2, spatial 5 4x3 same_upper, spatial 5 3 pad 1 nobias, transposed 3 3 /2, globalavg,
        linear classes""",
    "norms": """input 4x8x8, lrn 5 total plus 2, lrn 3, bn, in, ln, tanh gain 1.5, abs, maxout 2, prelu maps, flatten,
        tanh gain, maxout 4, linear classes, softmax""",
    "series": """input 2x30, conv 4 5 causal, depthwise 4 causal, maxpool 3 same, upsample 2 linear, globalavg,
        linear classes""",
    "clips": """input 1x5x8x8, conv 4 3 causal same same, avgpool 1x2x2, adaptivemax 2, flatten, dropout,
        linear classes""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Code, weights and inputs, and the scores that a process without Striate found."""
    folder = tmp_path_factory.mktemp("code")
    for name, text in PORTABLE.items():
        torch.manual_seed(0)
        network = models.create(text).eval()
        for parameter in network.parameters():
            nn.init.normal_(parameter, 0.1, 0.5)
        (folder / f"{name}.py").write_text(notation.code_of(network))
        torch.save(network.state_dict(), folder / f"{name}.pt")
        torch.save(torch.randn(2, network.config.in_channels, *network.config.input_size), folder / f"{name}_input.pt")
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), *PORTABLE], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", PORTABLE)
def test_code_runs_without_striate(name: str, folder: Path):
    network = models.create(PORTABLE[name]).eval()
    network.load_state_dict(torch.load(folder / f"{name}.pt"))
    expected = network(torch.load(folder / f"{name}_input.pt"))
    found = torch.load(folder / f"{name}_scores.pt")
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-5)
    assert found.std() > 0


def test_code_says_which_layers_are_ours():
    text = """conv 6 5, table 16 5 lenet5_c3, lcn 5, maxpool 3 /2 same_upper ceil, conv 4 3 pad 1 learned, globalavg,
        linear 3"""
    network = models.create(text).eval()
    source = notation.code_of(network)
    said = "# Striate's, as PyTorch has none that does the same: Conv2d, LocalContrastNorm, MaxPool2d, TableConv2d."
    assert f"{said}\nimport striate.nn\nfrom striate import tables\n" in source
    space: dict = {}
    exec(compile(source, "code", "exec"), space)
    other = space["Network"]().eval()
    other.load_state_dict(network.state_dict())
    input = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(other(input), network(input))


@given(networks())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_code_of_any_network(text: str):
    network = models.create(text).eval()
    space: dict = {}
    exec(compile(notation.code_of(network), "code", "exec"), space)
    other = space["Network"]().eval()
    other.load_state_dict(network.state_dict())
    input = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(other(input), network(input), rtol=1e-4, atol=1e-5)


@given(networks())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_layers_of_any_network_are_read(text: str):
    network = models.create(text)
    read = notation.of(network.layers)
    again = models.create(read, in_channels=3, input_size=(12, 12))
    assert repr(again.layers) == repr(network.layers)
    assert notation.of(again.layers) == read == notation.of(again)


@pytest.mark.parametrize("text", SINGLE)
def test_every_layer_is_read(text: str):
    expected, shown = SINGLE[text]
    read = notation.of(nn.Sequential(expected))
    assert shown in (None, read)
    (again,) = models.create(read, in_channels=3, input_size=(14, 15)).layers
    assert repr(again) == repr(expected)


def test_text_of_a_network():
    network = models.create("w = 4; stem: conv 2*w 3x3, # remark\n 2*(relu), flatten, linear classes")
    assert notation.of(network) == "stem: conv 8 3x3, 2*(relu), flatten, linear classes"
    stack = nn.Sequential(nn.Conv2d(1, 6, 5), nn.Sequential(nn.ReLU(), nn.BatchNorm2d(6)), nn.Flatten())
    assert notation.of(stack) == "conv 6 5, (relu, bn), flatten"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Linear(2, 2), "network must be one built from a text of the notation, or an nn.Sequential, got Linear"),
        (nn.Sequential(nn.Bilinear(2, 2, 2)), "the notation has no word for Bilinear"),
        (nn.Sequential(nn.BatchNorm2d(3, affine=False)), "no words for BatchNorm2d with affine=False"),
        (nn.Sequential(nn.LayerNorm(3, bias=False)), "no words for LayerNorm with bias=False"),
        (nn.Sequential(nn.GELU("tanh")), "no words for GELU with approximate='tanh'"),
        (nn.Sequential(nn.Flatten(2)), "no words for Flatten with start_dim=2"),
        (nn.Sequential(nn.Upsample(size=3)), "no words for Upsample with size=3"),
        (nn.Sequential(nn.MaxPool2d(2, return_indices=True)), "no words for MaxPool2d with return_indices=True"),
        (nn.Sequential(layers.Conv2d(1, 1, 3, padding=("same", 1))), "no words for padding"),
        (nn.Sequential(layers.Conv2d(1, 1, 3, padding_mode="constant", border=1)), "with padding_mode='constant'"),
        (nn.Sequential(layers.GaussianPool2d(3, sigma=(1, 2))), "no words for a GaussianPool with"),
        (nn.Sequential(layers.DeformConv2d(1, 1, 3)), "no words for DeformConv2d with predict=False"),
        (nn.Sequential(layers.TableConv2d(torch.tensor([[0, 0], [0, 2]]), 3, 3)), "for this connection table"),
    ],
)  # fmt: skip
def test_what_has_no_words(network: nn.Module, message: str):
    with pytest.raises(TypeError) as caught:
        notation.of(network)
    assert message in str(caught.value)


def test_code_of_a_sequence_wants_a_size():
    with pytest.raises(ValueError, match="input_size must be given for an nn.Sequential"):
        notation.code_of(nn.Sequential(nn.ReLU()))
    assert "nn.ReLU()" in notation.code_of(nn.Sequential(nn.ReLU()), (3, 8, 8))


@pytest.mark.parametrize("name", CLASSICS)
def test_code_of_the_classics(name: str):
    with torch.device("meta"):
        network = models.create(CLASSICS[name])
        source = notation.code_of(network)
        space: dict = {}
        exec(compile(source, "code", "exec"), space)
        other = space["Network"]()
    state = network.state_dict()
    assert {key: value.shape for key, value in other.state_dict().items()} == {key: v.shape for key, v in state.items()}
    assert ("import striate" in source) == (name in ("lenet5", "jarrett", "deepface"))


def test_code_of_response_normalisation_of_numbers_in_a_row():
    network = models.create("flatten, lrn 3").eval()
    source = notation.code_of(network)
    assert "striate.nn.LocalResponseNorm(3)" in source
    assert "nn.LocalResponseNorm(3, alpha=0.0001)" in notation.code_of(models.create("lrn 3"))


def test_code_imports_what_it_uses():
    for text, used in (("relu", False), ("residual(relu)", False), ("concat(relu | abs)", True), ("tanh gain", True)):
        source = notation.code_of(models.create(text))
        assert ("\nimport torch\n" in source) == used
    source = notation.code_of(models.create("table 2 5 random links 1"))
    assert "\nimport torch\n" in source and "torch.Generator" in source
