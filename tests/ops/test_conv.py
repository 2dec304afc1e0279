"""Convolution: values, the definition, gradients, every form of padding, every route."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops import checks
from striate.geometry import windows
from striate.ops import dispatch
from striate.ops.conv import conv1d, conv2d, conv3d, reference
from striate.ops.conv.fft import by_fft, fast_length
from striate.ops.conv.routes import by_torch

CONVOLUTIONS = (conv1d, conv2d, conv3d)
KINDS = ["standard", "depthwise", "multiplier", "grouped"]


def tensors(axes: int, kind: str, size: int = 6, kernel: int = 3, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weight and bias, float64."""
    generator = torch.Generator().manual_seed(axes)
    channels, out, into = {
        "standard": (3, 2, 3),
        "depthwise": (4, 4, 1),
        "multiplier": (2, 6, 1),
        "grouped": (4, 6, 2),
    }[kind]

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sizes = [size + axis for axis in range(axes)]
    return draw(batch, channels, *sizes), draw(out, into, *[kernel] * axes), draw(out)


def convolution(axes: int, kind: str, **settings: Any) -> Callable[..., Tensor]:
    groups = {"standard": 1, "depthwise": 4, "multiplier": 2, "grouped": 2}[kind]

    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return CONVOLUTIONS[axes - 1](input, weight, bias, groups=groups, **settings)

    return call


def defined(axes: int, kind: str, **settings: Any) -> Callable[..., Tensor]:
    groups = {"standard": 1, "depthwise": 4, "multiplier": 2, "grouped": 2}[kind]

    def call(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        arguments = {"stride": 1, "padding": 0, "dilation": 1, **settings}
        along = windows(axes, tuple(weight.shape[2:]), **arguments)
        low, high = zip(*(w.pads(n) for w, n in zip(along, input.shape[2:], strict=True)), strict=True)
        strides, dilations = [w.stride for w in along], [w.dilation for w in along]
        return reference.conv(input, weight, bias, strides, low, high, dilations, groups)

    return call


def test_values_of_the_lectures() -> None:
    series, filters = torch.tensor([[1.0, 2.0, -1.0, 1.0, -3.0]]), torch.tensor([[[1.0, 0.0, -1.0]]])
    assert conv1d(series, filters, padding=1).tolist() == [[-2, 2, 1, 2, 1]]
    assert conv1d(series, filters, padding=1, stride=2).tolist() == [[-2, 1, 1]]
    picture = torch.tensor([[[0.0, 80, 40], [20, 40, 0], [0, 0, 40]]])
    flipped = torch.tensor([[[[0, 0.25], [0.5, 1]]]]).flip(2, 3)
    assert conv2d(picture, flipped).tolist() == [[[45, 110], [40, 40]]]


def test_sizes_of_the_lectures() -> None:
    assert conv2d(torch.zeros(3, 227, 227), torch.zeros(96, 3, 11, 11), stride=4).shape == (96, 55, 55)
    assert conv2d(torch.zeros(3, 200, 200), torch.zeros(20, 3, 5, 5), padding=4).shape == (20, 204, 204)
    assert conv2d(torch.zeros(4, 11, 11), torch.zeros(1, 4, 5, 5), stride=2).shape == (1, 4, 4)


SETTINGS = [
    {},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": "same"},
    {"padding": "causal", "stride": 3},
    {"padding": "full", "dilation": 2},
    {"padding": "same_lower", "stride": 2},
    {"padding": "same_upper", "stride": 3, "dilation": 2},
    {"padding": "half", "stride": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_its_definition(axes: int, kind: str, settings: dict[str, Any]) -> None:
    inputs = tensors(axes, kind)
    checks.check_same(convolution(axes, kind, **settings), defined(axes, kind, **settings), *inputs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", [((1, 2), (0, 3)), ("causal", (2, 1)), (1, "full"), ("same", "half"), ((2, 2), 2)])
def test_padding_by_axis(kind: str, padding: Any) -> None:
    inputs = tensors(2, kind)
    checks.check_same(convolution(2, kind, padding=padding), defined(2, kind, padding=padding), *inputs)


@pytest.mark.parametrize("sizes", list(itertools.product([1, 2, 5], repeat=2)), ids=str)
@pytest.mark.parametrize("kernel", [(1, 1), (2, 1), (1, 3), (4, 5)], ids=str)
def test_small_sizes(sizes: tuple[int, int], kernel: tuple[int, int]) -> None:
    input = torch.randn(2, 4, *sizes, dtype=torch.float64)
    weight = torch.randn(4, 1, *kernel, dtype=torch.float64)
    settings: dict[str, Any] = {"padding": "full", "stride": (2, 1)}
    checks.check_same(convolution(2, "depthwise", **settings), defined(2, "depthwise", **settings), input, weight)


@pytest.mark.parametrize("length", [2047, 2048, 2049, 5000])
def test_rows_longer_than_a_block(length: int) -> None:
    input = torch.randn(1, 4, length, dtype=torch.float64)
    weight = torch.randn(4, 1, 11, dtype=torch.float64)
    for settings in ({"padding": "same"}, {"stride": 2}):
        checks.check_same(convolution(1, "depthwise", **settings), defined(1, "depthwise", **settings), input, weight)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_gradients(axes: int, kind: str) -> None:
    settings: dict[str, Any] = {"stride": 2, "padding": ((1, 2),) + ("causal",) * (axes - 1)}
    checks.check_gradients(convolution(axes, kind, **settings), *tensors(axes, kind, size=3, kernel=2))


def test_third_order() -> None:
    input, weight, _ = checks.leaves(*tensors(2, "depthwise", size=3, kernel=2, batch=1))

    def third(function: Callable[..., Tensor]) -> Tensor:
        (first,) = torch.autograd.grad(function(input, weight).pow(4).sum(), input, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), weight, create_graph=True)
        return torch.autograd.grad(second.square().sum(), input)[0]

    checks.assert_close(third(convolution(2, "depthwise")), third(defined(2, "depthwise")))


@pytest.mark.parametrize("kind", ["standard", "depthwise"])
class TestHabits:
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_transforms(self, kind: str, axes: int) -> None:
        input, weight, _ = tensors(axes, kind, size=3, kernel=2)
        checks.check_transforms(convolution(axes, kind, padding=1), input, weight)

    def test_compiles(self, kind: str) -> None:
        checks.check_compiles(
            convolution(2, kind, padding="same"), lambda size: tensors(2, kind, size=size), sizes=(6, 9)
        )

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_exports_to_onnx(self, kind: str, axes: int, tmp_path: Path) -> None:
        inputs = [tensor.float() for tensor in tensors(axes, kind)]
        settings: dict[str, Any] = {"stride": 2, "padding": ((1, 2),) + ("same",) * (axes - 1)}
        assert "Conv" in checks.check_onnx(convolution(axes, kind, **settings), tmp_path, *inputs)

    def test_autocast(self, kind: str) -> None:
        checks.check_autocast(convolution(2, kind), *tensors(2, kind))
        checks.check_autocast(convolution(2, kind, padding=1, padding_mode="reflect"), *tensors(2, kind))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_dtypes(self, kind: str, axes: int) -> None:
        checks.check_dtypes(convolution(axes, kind, padding=1), *tensors(axes, kind))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_formats(self, kind: str, axes: int) -> None:
        checks.check_formats(convolution(axes, kind, padding=1), *tensors(axes, kind))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_batches(self, kind: str, axes: int) -> None:
        checks.check_batches(convolution(axes, kind, padding=1), *tensors(axes, kind))

    def test_deterministic(self, kind: str) -> None:
        inputs = [tensor.float() for tensor in tensors(2, kind, size=40)]
        checks.check_deterministic(convolution(2, kind, padding=1), *inputs, threads=kind == "depthwise")

    def test_whole(self, kind: str) -> None:
        checks.check_whole(convolution(2, kind, stride=3, padding=1), *tensors(2, kind, size=11))

    def test_concurrent(self, kind: str) -> None:
        checks.check_concurrent(convolution(2, kind, padding=1), *tensors(2, kind))


def test_inductor_keeps_the_kernels() -> None:
    torch._dynamo.reset()
    function = convolution(2, "depthwise", padding="same")
    checks.check_same(torch.compile(function, fullgraph=True), function, *tensors(2, "depthwise"))


def test_opcheck() -> None:
    input, weight, bias = checks.leaves(*tensors(2, "depthwise"))
    settings = ([2, 1], [1, 0], [0, 2], [1, 2])
    torch.library.opcheck(torch.ops.striate.depthwise_conv.default, (input, weight, bias, *settings))
    output = torch.ops.striate.depthwise_conv(input, weight, bias, *settings)
    torch.library.opcheck(
        torch.ops.striate.depthwise_conv_backward.default,
        (torch.ones_like(output).requires_grad_(), input, weight, *settings, [True, True]),
    )


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "constant"])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kind", ["standard", "depthwise"])
def test_padding_modes(mode: str, axes: int, kind: str) -> None:
    input, weight, _ = tensors(axes, kind, size=4)
    border = torch.arange(1.0, input.shape[1] + 1, dtype=torch.float64)
    settings: dict[str, Any] = {"padding": ((1, 2),) + (1,) * (axes - 1)}
    low, high = [1] * axes, [2] + [1] * (axes - 1)

    def padded(input: Tensor, weight: Tensor, border: Tensor | None = None) -> Tensor:
        for axis, (a, b) in enumerate(zip(low, high, strict=True), start=2):
            n = input.shape[axis]
            places = torch.arange(-a, n + b)
            at = {
                "replicate": places.clamp(0, n - 1),
                "circular": places % n,
                "reflect": (n - 1 - (n - 1 - places.abs()).abs()).abs(),
                "constant": places.clamp(0, n - 1),
            }[mode]
            values = input.index_select(axis, at)
            if border is not None:
                inside = ((places >= 0) & (places < n)).view(-1, *[1] * (input.ndim - 1 - axis))
                values = torch.where(inside, values, border.view(-1, *[1] * axes))
            input = values
        return defined(axes, kind)(input, weight)

    if mode == "constant":
        own = lambda i, w, b: convolution(axes, kind, padding_mode=mode, border=b, **settings)(i, w)  # noqa: E731
        checks.check_same(own, padded, input, weight, border)
    else:
        checks.check_same(convolution(axes, kind, padding_mode=mode, **settings), padded, input, weight)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_fft_equals_torch(axes: int, stride: int, dilation: int, groups: int) -> None:
    input = torch.randn(2, 4, *[7] * axes, dtype=torch.float64)
    weight = torch.randn(8, 4 // groups, *[3] * axes, dtype=torch.float64)
    settings = ([stride] * axes, [1] * axes, [2] * axes, [dilation] * axes, groups)
    checks.check_same(
        lambda i, w, b: by_fft(i, w, b, *settings),
        lambda i, w, b: by_torch(i, w, b, *settings),
        input,
        weight,
        torch.randn(8, dtype=torch.float64),
    )


def test_fft_of_large_kernels() -> None:
    input, weight = torch.randn(2, 4, 40, 40), torch.randn(4, 1, 31, 31)
    assert "fft" in dispatch.explain_dispatch(conv2d, input, weight, groups=4)
    checks.check_same(
        lambda i, w: conv2d(i, w, padding="same", groups=4),
        lambda i, w: F.conv2d(i, w, padding=15, groups=4),
        input,
        weight,
    )
    checks.check_dtypes(lambda i, w: conv2d(i, w, padding="same", groups=4), input.double(), weight.double())


def test_gradients_of_volumes_that_pytorch_gets_wrong() -> None:
    """With padding of its own, PyTorch 2.13 leaves parts of this weight gradient unwritten."""
    generator = torch.Generator().manual_seed(0)
    input = torch.randn(3, 2, 4, 8, 4, generator=generator)
    weight = torch.randn(2, 2, 4, 4, 4, generator=generator)
    settings: dict[str, Any] = {"stride": (2, 1, 2), "padding": (3, 0, 0)}
    for _ in range(20):
        checks.check_same(convolution(3, "standard", **settings), defined(3, "standard", **settings), input, weight)


@pytest.mark.parametrize(
    ("sizes", "kernel", "stride", "padding"),
    [
        ((5, 2), (1, 4), (2, 3), (0, 3)),
        ((3, 5), (1, 5), (1, 3), (0, 1)),
        ((3, 5), (1, 5), (1, 3), (0, 0)),
        ((1, 4, 4), (3, 2, 4), (3, 3, 1), (1, 0, 0)),
    ],
    ids=str,
)
def test_bfloat16_that_pytorch_gets_wrong(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> None:
    """PyTorch 2.13 leaves parts of outputs and of weight gradients unwritten in channels-last."""
    layout = torch.channels_last if len(sizes) == 2 else torch.channels_last_3d
    input = torch.randn(3, 2, *sizes).bfloat16().contiguous(memory_format=layout)
    settings: dict[str, Any] = {"stride": stride, "padding": padding}
    own, expected = convolution(len(sizes), "multiplier", **settings), defined(len(sizes), "multiplier", **settings)
    checks.check_written(own, expected, input, torch.randn(16, 1, *kernel).bfloat16())


def test_windows_wholly_in_the_padding() -> None:
    """With padding of its own, PyTorch 2.13 crashes here."""
    layout = torch.channels_last
    input = torch.randn(2, 4, 8, 1).contiguous(memory_format=layout)
    weight = torch.randn(2, 2, 3, 1).contiguous(memory_format=layout)
    settings: dict[str, Any] = {"stride": 3, "padding": ((1, 0), (2, 2)), "dilation": (1, 2)}
    checks.check_same(convolution(2, "grouped", **settings), defined(2, "grouped", **settings), input, weight)


def test_fast_lengths() -> None:
    assert [fast_length(n) for n in (1, 7, 11, 13, 17, 97, 1021)] == [1, 8, 12, 15, 18, 100, 1024]


def test_dispatch_is_explained() -> None:
    picture = torch.zeros(1, 4, 9, 9)
    explained = dispatch.explain_dispatch(conv2d, picture, torch.zeros(4, 4, 3, 3))
    assert explained == "conv2d: torch: PyTorch's own convolution is at the limit"
    assert "conv2d: kernels: " in dispatch.explain_dispatch(conv2d, picture, torch.zeros(4, 1, 3, 3), groups=4)
    taken = torch.func.jvp(
        lambda x: torch.tensor(0.0) * conv2d(x, torch.zeros(4, 1, 3, 3), groups=4), (picture,), (picture,)
    )
    assert taken[0].shape == (1, 4, 7, 7)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(4, 9)}, ValueError, r"input must be \(N, C, H, W\) or \(C, H, W\), got \(4, 9\)"),
        ({"input": torch.zeros(1, 4, 9, 9, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        ({"weight": torch.zeros(6, 2, 3, 3, dtype=torch.float64)}, TypeError, "weight must have the dtype of input"),
        ({"weight": torch.zeros(6, 2, 3, 3, device="meta")}, ValueError, "weight must be on the device of input"),
        ({"weight": torch.zeros(6, 2, 3)}, ValueError, r"weight must be \(out, in / groups, k1, k2\)"),
        ({"weight": torch.zeros(6, 2, 0, 3)}, ValueError, r"weight must be .* none 0, got \(6, 2, 0, 3\)"),
        ({"weight": torch.zeros(6, 3, 3, 3)}, ValueError, "input has 4 channels, weight .* takes 6"),
        ({"groups": 0}, ValueError, "conv2d: groups must be an integer of at least 1, got 0"),
        ({"groups": 4}, ValueError, "input has 4 channels, weight .* with groups=4 takes 8"),
        ({"weight": torch.zeros(5, 2, 3, 3)}, ValueError, "groups must divide both"),
        ({"bias": torch.zeros(5)}, ValueError, r"bias must be \(6,\), one number a filter, got \(5,\)"),
        ({"weight": torch.zeros(6, 2, 3, 12)}, ValueError, "axis 1: the window is larger than the padded input"),
        ({"stride": 0}, ValueError, "stride"),
        ({"dilation": (1, 0)}, ValueError, "dilation"),
        ({"padding": -1}, ValueError, "padding"),
        ({"padding": "sam"}, ValueError, "same"),
        ({"padding_mode": "mirror"}, ValueError, "padding_mode must be one of zeros, reflect"),
        ({"padding_mode": "constant"}, ValueError, "border and padding_mode='constant' go together"),
        ({"border": torch.zeros(4)}, ValueError, "border and padding_mode='constant' go together"),
        ({"padding_mode": "constant", "border": torch.zeros(3)}, ValueError, r"border must be \(4,\)"),
        ({"padding_mode": "reflect", "padding": 9}, ValueError, "can pad at most 8 places on axis 0 of size 9"),
        ({"padding_mode": "circular", "padding": 10}, ValueError, "can pad at most 9 places on axis 0 of size 9"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    right = {"input": torch.zeros(1, 4, 9, 9), "weight": torch.zeros(6, 2, 3, 3), "groups": 2}
    with pytest.raises(error, match=message):
        conv2d(**{**right, **change})


def test_one_axis_wants_a_pair_of_pairs() -> None:
    with pytest.raises(ValueError, match=r"\(\(1, 2\),\)"):
        conv1d(torch.zeros(1, 2, 9), torch.zeros(1, 2, 3), padding=(1, 2))
