import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate import nn as layers
from striate.nn import Factorized, collapse, factorize
from striate.nn.conv import ConvNd

SOBEL = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])


def sobel() -> nn.Conv2d:
    layer = nn.Conv2d(1, 1, 3, bias=False)
    layer.weight.data.copy_(SOBEL)
    return layer


def whole_weight(made: Factorized) -> np.ndarray:
    """The weight of the two layers as one, groups of 1, by the definition of each method."""
    first, second = made.module
    u, v = first.weight.detach().double().numpy(), second.weight.detach().double().numpy()
    if made.method == "spatial":
        return np.einsum("rcy,orx->ocyx", u[..., 0], v[:, :, 0])
    rank = made.rank
    u = u.reshape(-1, rank, *u.shape[2:])
    v = v.reshape(len(v), -1, rank)
    return np.einsum("ocr,cr...->oc...", v, u)


def relative(difference: np.ndarray, whole: np.ndarray) -> float:
    return float(np.linalg.norm(difference) / np.linalg.norm(whole))


def test_sobel_is_exactly_of_rank_one():
    layer = sobel()
    made = factorize(layer, inputs=torch.randn(2, 1, 9, 9))
    assert (made.rank, made.parameters, made.parameters_before, made.macs, made.macs_before) == (1, 6, 9, 6, 9)
    assert made.weight_error < 1e-7
    assert made.output_error < 1e-6
    assert [tuple(part.kernel_size) for part in made.module] == [(3, 1), (1, 3)]
    column, row = (part.weight.detach().flatten() for part in made.module)
    torch.testing.assert_close(torch.outer(column, row), SOBEL)
    assert factorize(layer, tolerance=1e-6).rank == 1
    assert str(made) == (
        "spatial, rank 1: error on the weights 0.0 %, on the outputs 0.0 %; parameters 9 -> 6; MACs for a place 9 -> 6"
    )


def test_most_filters_are_not_of_rank_one():
    torch.manual_seed(0)
    made = factorize(nn.Conv2d(1, 64, 3, bias=False))
    assert made.weight_error > 0.3
    assert len(made.errors) == 3
    assert made.errors[-1] == 0


@pytest.mark.parametrize("rank", [1, 2, 5, 12])
def test_spatial_is_numpys_best_matrix_of_the_rank(rank: int):
    torch.manual_seed(0)
    layer = layers.Conv2d(4, 6, 3, dtype=torch.float64)
    made = factorize(layer, rank=rank)
    weight = layer.weight.detach().numpy()
    matrix = weight.transpose(1, 2, 0, 3).reshape(4 * 3, 6 * 3)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    best = ((u[:, :rank] * s[:rank]) @ v[:rank]).reshape(4, 3, 6, 3).transpose(2, 0, 1, 3)
    np.testing.assert_allclose(whole_weight(made), best, atol=1e-12)
    np.testing.assert_allclose(made.weight_error, relative(best - weight, weight), atol=1e-12)
    expected = [np.sqrt((s[r:] ** 2).sum() / (s**2).sum()) for r in range(1, 13)]
    np.testing.assert_allclose(made.errors, expected, atol=1e-12)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("rank", [1, 2])
def test_depthwise_is_numpys_best_matrix_of_each_channel(axes: int, rank: int):
    torch.manual_seed(0)
    layer = (layers.Conv1d, layers.Conv2d, layers.Conv3d)[axes - 1](4, 6, 3, dtype=torch.float64)
    made = factorize(layer, method="depthwise", rank=rank)
    weight = layer.weight.detach().numpy()
    u, s, v = np.linalg.svd(weight.reshape(6, 4, -1).transpose(1, 0, 2), full_matrices=False)
    best = ((u[..., :rank] * s[:, None, :rank]) @ v[:, :rank]).transpose(1, 0, 2).reshape(weight.shape)
    np.testing.assert_allclose(whole_weight(made), best, atol=1e-12)
    np.testing.assert_allclose(made.weight_error, relative(best - weight, weight), atol=1e-12)


FULL = [
    {},
    {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)},
    {"groups": 2, "padding": "same"},
    {"groups": 2, "bias": False, "stride": 2},
    {"padding": 2, "padding_mode": "reflect"},
    {"padding": 1, "padding_mode": "circular"},
]


@pytest.mark.parametrize("method", ["spatial", "depthwise"])
@pytest.mark.parametrize("library", [nn, layers], ids=["torch", "striate"])
@pytest.mark.parametrize("settings", FULL, ids=str)
def test_full_rank_is_the_convolution(method: str, library: object, settings: dict[str, object]):
    layer = library.Conv2d(4, 6, (3, 5), dtype=torch.float64, **settings)
    input = torch.randn(2, 4, 9, 10, dtype=torch.float64)
    made = factorize(layer, method=method, tolerance=0, inputs=input)
    assert made.rank == len(made.errors)
    assert made.weight_error == 0
    assert made.output_error < 1e-12
    torch.testing.assert_close(made.module(input), layer(input))


@pytest.mark.parametrize("method", ["spatial", "depthwise"])
@pytest.mark.parametrize("mode", ["constant", "learned"])
def test_full_rank_sees_the_same_border(method: str, mode: str):
    layer = layers.Conv2d(
        4, 6, 3, padding=((2, 1), (1, 2)), dilation=(1, 2), groups=2, padding_mode=mode, border=(1.0, -2.0, 3.0, 0.5),
        dtype=torch.float64,
    )  # fmt: skip
    input = torch.randn(2, 4, 6, 7, dtype=torch.float64)
    made = factorize(layer, method=method, tolerance=0)
    torch.testing.assert_close(made.module(input), layer(input))
    assert isinstance(made.module[0].border, nn.Parameter) == (mode == "learned")


def test_depthwise_layer_and_series():
    layer = layers.DepthwiseConv1d(4, 5, multiplier=3, padding="causal", dtype=torch.float64)
    made = factorize(layer, method="depthwise", rank=3)
    input = torch.randn(1, 4, 9, dtype=torch.float64)
    torch.testing.assert_close(made.module(input), layer(input))


@pytest.mark.parametrize("method", ["spatial", "depthwise"])
def test_error_on_inputs_is_that_of_the_outputs(method: str):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 8, 3, padding=1)
    input = torch.randn(2, 3, 8, 8)
    made = factorize(layer, method=method, inputs=input)
    difference = (made.module(input) - layer(input)).norm() / layer(input).norm()
    assert made.output_error == pytest.approx(difference.item(), rel=1e-5)
    assert 0.1 < made.output_error < 1
    assert factorize(layer).output_error is None


@pytest.mark.parametrize("tolerance", [0.0, 0.1, 0.4, 1.0])
def test_tolerance_takes_the_smallest_rank(tolerance: float):
    torch.manual_seed(0)
    made = factorize(nn.Conv2d(4, 8, 3), tolerance=tolerance)
    assert made.weight_error <= tolerance
    assert all(error > tolerance for error in made.errors[: made.rank - 1])
    assert all(one >= other for one, other in itertools.pairwise(made.errors))


def macs_counted(module: nn.Module, input: Tensor) -> int:
    """Multiply-accumulates of all convolutions in a module, from the sizes of their outputs."""
    counted = []
    hooks = [
        part.register_forward_hook(lambda part, _, output: counted.append(output[0, 0].numel() * part.weight.numel()))
        for part in module.modules()
        if isinstance(part, ConvNd)
    ]
    module(input)
    for hook in hooks:
        hook.remove()
    return sum(counted)


@pytest.mark.parametrize("method", ["spatial", "depthwise"])
def test_costs_are_those_counted(method: str):
    layer = layers.Conv2d(4, 8, 3, stride=2, padding="same_upper")
    made = factorize(layer, method=method, rank=2)
    input = torch.randn(1, 4, 16, 16)
    assert made.macs * 64 == macs_counted(made.module, input)
    assert made.macs_before * 64 == macs_counted(layer, input)
    assert made.parameters == sum(parameter.numel() for parameter in made.module.parameters())
    assert made.parameters_before == 4 * 8 * 9 + 8


def test_rank_one_loads_into_a_separable_layer():
    made = factorize(nn.Conv2d(4, 6, 3, padding=1), method="depthwise")
    layer = layers.DepthwiseSeparableConv2d(4, 6, 3, padding=1)
    layer.load_state_dict(made.module.state_dict())
    input = torch.randn(1, 4, 6, 6)
    assert torch.equal(layer(input), made.module(input))


@pytest.mark.parametrize("method", ["spatial", "depthwise"])
def test_collapse_undoes_it(method: str):
    layer = layers.Conv2d(4, 6, 3, stride=2, padding=1, dtype=torch.float64)
    back = collapse(factorize(layer, method=method, tolerance=0).module)
    torch.testing.assert_close(back.weight, layer.weight)
    input = torch.randn(1, 4, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(back(input), layer(input))


def test_result_is_trainable_and_independent():
    layer = nn.Conv2d(3, 4, 3).to(torch.bfloat16).eval()
    before = layer.weight.clone()
    made = factorize(layer)
    assert not made.module.training
    assert all(part.dtype == torch.bfloat16 and part.requires_grad for part in made.module.parameters())
    with torch.no_grad():
        for parameter in made.module.parameters():
            parameter.zero_()
    assert torch.equal(layer.weight, before)


def test_zero_weights():
    layer = nn.Conv2d(2, 3, 3, bias=False)
    nn.init.zeros_(layer.weight)
    made = factorize(layer, inputs=torch.randn(1, 2, 5, 5))
    assert (made.weight_error, made.output_error) == (0, 0)


@pytest.mark.parametrize(
    ("module", "settings", "error", "message"),
    [
        (nn.Linear(2, 2), {}, TypeError, "module must be a Conv1d, Conv2d or Conv3d.*, got Linear"),
        (layers.ConvTanhGain2d(1, 1, 3), {}, TypeError, "got ConvTanhGain2d"),
        (layers.ConvTranspose2d(1, 1, 3), {}, TypeError, "got ConvTranspose2d"),
        (nn.Conv1d(2, 2, 3), {}, ValueError, r"method 'spatial' is for two axes, got kernel_size=\(3,\)"),
        (sobel(), {"method": "svd"}, ValueError, "method must be one of spatial, depthwise, got 'svd'"),
        (sobel(), {"rank": 1, "tolerance": 0.1}, ValueError, "give rank or tolerance, not both"),
        (sobel(), {"rank": 0}, ValueError, "rank must be an integer of at least 1, got 0"),
        (sobel(), {"rank": 1.0}, TypeError, "rank must be an integer of at least 1, got 1.0"),
        (sobel(), {"rank": 4}, ValueError, "rank must be at most 3 for this convolution, got 4"),
        (sobel(), {"tolerance": 1.5}, ValueError, "tolerance must be from 0 to 1, got 1.5"),
    ],
)
def test_refuses(module: nn.Module, settings: dict[str, object], error: type[Exception], message: str):
    with pytest.raises(error, match=f"factorize: .*{message}" if "integer" not in message else message):
        factorize(module, **settings)


def test_refuses_weights_that_are_not_finite():
    layer = sobel()
    layer.weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="every weight must be finite"):
        factorize(layer)
