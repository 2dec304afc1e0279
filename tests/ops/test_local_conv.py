"""Unshared convolution: values, the definition by columns, every padding, few images and many, the habits."""

import itertools
import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ops import checks
from ops.unshared import KINDS, LOCAL, NO_NUMBERS, by_columns, draw, local, tensors
from striate.ops import dispatch
from striate.ops.local_conv import local_conv1d, local_conv2d, reference

CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


def test_values_by_hand() -> None:
    series = torch.tensor([[1.0, 2.0, 3.0]])
    filters = torch.tensor([[1.0, 1.0], [10.0, -1.0]]).view(2, 1, 1, 2)
    assert local_conv1d(series, filters).tolist() == [[3, 17]]
    assert local_conv1d(series, filters, torch.tensor([0.5])).tolist() == [[3.5, 17.5]]
    assert local_conv1d(series, filters, torch.tensor([[0.5], [-7.0]])).tolist() == [[3.5, 10]]
    assert local_conv1d(series, filters, stride=2, padding=((1, 0),)).tolist() == [[1, 17]]
    assert local_conv1d(series, filters[:1], dilation=2).tolist() == [[4]]
    # Weights of the places (0, 0), (0, 1), (1, 0), (1, 1): rows before columns.
    picture = torch.arange(9.0).view(1, 3, 3)
    weight = torch.tensor([1.0, 10, 100, 1000]).view(2, 2, 1, 1, 1, 1).expand(2, 2, 1, 1, 2, 2)
    assert local_conv2d(picture, weight).tolist() == [[[8, 120], [2000, 24000]]]


SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": 2, "padding": 1},
    {"padding": "same", "dilation": 2},
    {"padding": "causal", "stride": 3},
    {"padding": "full"},
    {"padding": "same_lower", "stride": 2},
    {"padding": "same_upper", "stride": 4},
    {"padding": "half", "stride": 5},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_equals_columns(axes: int, kind: str, settings: dict[str, Any]) -> None:
    size = 5 if axes < 3 else 3
    inputs = tensors(axes, kind, size=size, kernel=2 if axes == 3 else 3, **settings)
    checks.check_same(local(axes, kind, **settings), by_columns(axes, kind, **settings), *inputs)


@pytest.mark.parametrize("padding", [((1, 2), (0, 3)), ("causal", (2, 1)), (1, "valid"), ("same", (3, 0)), ((9, 0), 0)])
def test_padding_by_axis(padding: Any) -> None:
    settings: dict[str, Any] = {"padding": padding, "stride": (2, 3)}
    checks.check_same(local(2, **settings), by_columns(2, **settings), *tensors(2, **settings))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_padding_modes(axes: int, mode: str) -> None:
    settings: dict[str, Any] = {"padding": ((1, 2),) * axes, "padding_mode": mode}
    inputs = tensors(axes, size=4, padding=((1, 2),) * axes)
    checks.check_same(local(axes, **settings), by_columns(axes, **settings), *inputs)


def test_constant_border() -> None:
    input, weight, bias = tensors(2, padding=2)
    border = draw(3)
    call = lambda i, w, b, o: local(2, padding=2, padding_mode="constant", border=o)(i, w, b)  # noqa: E731
    defined = lambda i, w, b, o: by_columns(2, padding=2, padding_mode="constant", border=o)(i, w, b)  # noqa: E731
    checks.check_same(call, defined, input, weight, bias, border)


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 8, 9, 16, 17, 24, 31])
@pytest.mark.parametrize(
    ("channels", "out", "kernel"), [(1, 1, 1), (3, 5, 3), (4, 8, 3), (5, 13, 3), (2, 1, 5), (8, 11, 2)]
)
def test_any_batch_and_any_channels(batch: int, channels: int, out: int, kernel: int) -> None:
    """Vectors of images and of weights, full and not, and their rows in eights, fours and ones."""
    input = draw(batch, channels, 5, 6).float()
    weight = draw(6 - kernel, 7 - kernel, out, channels, kernel, kernel).float()
    wide = [tensor.double() for tensor in (input, weight)]
    checks.assert_close(local(2)(input, weight), by_columns(2)(*wide), torch.float32)
    found = checks.gradients_of(local(2), input, weight)
    for gradient, expected in zip(found, checks.gradients_of(by_columns(2), *wide), strict=True):
        checks.assert_close(gradient, expected, torch.float32)


@pytest.mark.parametrize("batch", [2, 8])
def test_few_images_of_many_weights(batch: int) -> None:
    """Windows of more than a vector of eight vectors, so that the blocks along the weights are full."""
    input, weight = draw(batch, 33, 4, 4), draw(2, 2, 9, 33, 3, 3)
    checks.check_same(local(2), by_columns(2), input, weight)


@pytest.mark.parametrize("sizes", list(itertools.product([1, 2, 5], repeat=2)), ids=str)
@pytest.mark.parametrize("kernel", [(1, 1), (2, 1), (1, 3), (4, 5)], ids=str)
def test_small_sizes(sizes: tuple[int, int], kernel: tuple[int, int]) -> None:
    settings: dict[str, Any] = {"padding": "same", "stride": (2, 1)}
    outputs = -(-sizes[0] // 2), sizes[1]
    input, weight = draw(2, 3, *sizes), draw(*outputs, 2, 3, *kernel)
    checks.check_same(local(2, **settings), by_columns(2, **settings), input, weight)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("settings", [{"stride": 2, "padding": 1}, {"dilation": 2}], ids=str)
def test_equal_weights_are_ordinary_convolution(axes: int, settings: dict[str, Any]) -> None:
    input, _, _ = tensors(axes, "grouped")
    filters, bias = draw(6, 2, *[3] * axes), draw(6)
    expected = CONVOLUTIONS[axes - 1](input, filters, bias, groups=2, **settings)

    def call(input: Tensor, filters: Tensor, bias: Tensor) -> Tensor:
        weight = filters.expand(*expected.shape[2:], *filters.shape)
        return local(axes, "grouped", **settings)(input, weight, bias)

    checks.check_same(call, lambda i, w, b: CONVOLUTIONS[axes - 1](i, w, b, groups=2, **settings), input, filters, bias)


def test_equals_its_definition() -> None:
    input, weight, bias = tensors(2, "grouped", stride=2, padding=1)
    checks.check_same(
        local(2, "grouped", stride=2, padding=1),
        lambda i, w, b: reference.local_conv(i, w, b, [2, 2], [1, 1], [1, 1]),
        input,
        weight,
        bias,
    )


@pytest.mark.parametrize(
    ("axes", "size", "kernel", "settings"),
    [
        (1, 1, 1, {"stride": 4, "padding": ((3, 0),)}),
        (2, 2, 2, {"stride": 8, "padding": ((6, 1), (1, 0)), "dilation": 2}),
    ],
)
def test_windows_wholly_in_the_padding(
    axes: int, size: int, kernel: int, settings: dict[str, Any], tmp_path: Path
) -> None:
    input, weight, bias = tensors(axes, "grouped", size=size, kernel=kernel, **settings)
    call = local(axes, "grouped", **settings)
    expected = bias.movedim(-1, 0).expand(2, *[-1] * (axes + 1))
    assert torch.equal(call(input, weight, bias), expected)
    assert torch.equal(torch.func.vmap(lambda one: call(one, weight, bias))(input), expected)
    checks.check_transforms(lambda i, b, w: call(i, w, b), input, bias, weight)
    assert call(input.to("meta"), weight.to("meta")).shape == expected.shape
    checks.check_onnx(call, tmp_path, input.float(), weight.float(), bias.float())


@pytest.mark.parametrize(("axes", "kind", "batch"), [(1, "standard", 1), (1, "depthwise", 4), (2, "grouped", 4)])
def test_gradients(axes: int, kind: str, batch: int) -> None:
    settings: dict[str, Any] = {"stride": 2, "padding": ((1, 2),) + ("causal",) * (axes - 1)}
    size, kernel = (4, 3) if axes == 1 else (2, 2)
    inputs = tensors(axes, kind, size=size, kernel=kernel, batch=batch, **settings)
    checks.check_gradients(local(axes, kind, **settings), *inputs)


@pytest.mark.parametrize("axes", [1, 3])
def test_gradients_along_the_weights(axes: int) -> None:
    """A few images and windows of 32 numbers or more."""
    input, weight = draw(1, 33, *[2] * axes), draw(*[1] * axes, 2, 33, *[2] * axes)
    if axes == 3:
        input, weight = input[:, :5], weight[:, :, :, :, :5]
    checks.check_gradients(local(axes), input, weight)


def test_third_order() -> None:
    own = checks.leaves(*tensors(2, "grouped", size=3, kernel=2))

    def third(function: Any) -> Tensor:
        (first,) = torch.autograd.grad(function(*own).pow(4).sum(), own[0], create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), own[1], create_graph=True)
        return torch.autograd.grad(second.square().sum(), own[0])[0]

    checks.assert_close(third(local(2, "grouped")), third(by_columns(2, "grouped")))


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_only_the_gradients_asked_for(wanted: tuple[int, ...]) -> None:
    inputs = tensors(2, "grouped")
    own = [tensor.clone().requires_grad_(i in wanted) for i, tensor in enumerate(inputs)]
    first = torch.autograd.grad(local(2, "grouped")(*own).square().sum(), [own[i] for i in wanted], create_graph=True)
    every = checks.leaves(*inputs)
    expected = torch.autograd.grad(
        by_columns(2, "grouped")(*every).square().sum(), [every[i] for i in wanted], create_graph=True
    )
    for one, other in zip(first, expected, strict=True):
        checks.assert_close(one, other)
    found = torch.autograd.grad(sum(g.square().sum() for g in first), [own[i] for i in wanted])
    wished = torch.autograd.grad(sum(g.square().sum() for g in expected), [every[i] for i in wanted])
    for one, other in zip(found, wished, strict=True):
        checks.assert_close(one, other)


class TestHabits:
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_transforms(self, axes: int) -> None:
        input, weight, bias = tensors(axes, "grouped", size=3 if axes < 3 else 2, kernel=2)
        call = local(axes, "grouped")
        checks.check_transforms(lambda i, b, w: call(i, w, b), input, bias, weight)

    @pytest.mark.parametrize("batch", [2, 8])
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_dtypes(self, axes: int, batch: int) -> None:
        inputs = tensors(axes, "grouped", size=4, kernel=2, batch=batch, padding=1)
        checks.check_dtypes(local(axes, "grouped", padding=1), *inputs)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_formats(self, axes: int, kind: str) -> None:
        inputs = tensors(axes, kind, size=4, kernel=2, padding=1)
        checks.check_formats(local(axes, kind, padding=1), *inputs)

    @pytest.mark.parametrize("mode", ["zeros", "circular"])
    def test_channels_last_with_padding_modes(self, mode: str) -> None:
        checks.check_formats(local(2, padding="same", padding_mode=mode), *tensors(2, padding="same"))

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_batches(self, axes: int) -> None:
        inputs = tensors(axes, "grouped", kernel=2)
        checks.check_batches(local(axes, "grouped"), *inputs)

    def test_strided_weight(self) -> None:
        input, weight, bias = tensors(2, "grouped")
        turned = weight.movedim(0, -1).contiguous().movedim(-1, 0)
        assert not turned.is_contiguous()
        checks.check_same(local(2, "grouped"), by_columns(2, "grouped"), input, turned, bias)

    @pytest.mark.parametrize("axes", [1, 2, 3])
    def test_compile_with_a_dynamic_batch(self, axes: int) -> None:
        def make(batch: int) -> tuple[Tensor, ...]:
            return tensors(axes, "grouped", size=4, kernel=2, batch=batch, padding="same")

        checks.check_compiles(local(axes, "grouped", padding="same"), make, sizes=(3, 9))

    def test_compile_with_a_padding_mode(self) -> None:
        settings: dict[str, Any] = {"padding": "same", "padding_mode": "reflect"}
        checks.check_compiles(local(2, **settings), lambda batch: tensors(2, batch=batch, padding="same"), sizes=(2, 5))

    def test_inductor_keeps_the_kernels(self) -> None:
        torch._dynamo.reset()
        function = local(2, "grouped", padding="same")
        checks.check_same(torch.compile(function, fullgraph=True), function, *tensors(2, "grouped", padding="same"))

    def test_autocast(self) -> None:
        checks.check_autocast(local(2, "grouped"), *tensors(2, "grouped"))

    @pytest.mark.parametrize("batch", [1, 8])
    @pytest.mark.parametrize("kind", KINDS)
    def test_deterministic(self, kind: str, batch: int) -> None:
        inputs = [tensor.float() for tensor in tensors(2, kind, size=17, batch=batch, padding=1)]
        checks.check_deterministic(local(2, kind, padding=1), *inputs, threads=True)

    @pytest.mark.parametrize("batch", [1, 8])
    def test_whole(self, batch: int) -> None:
        settings: dict[str, Any] = {"stride": 4, "padding": 1}
        checks.check_whole(local(2, **settings), *tensors(2, size=12, batch=batch, **settings))

    def test_concurrent(self) -> None:
        checks.check_concurrent(local(2, "grouped", padding=1), *tensors(2, "grouped", size=9, padding=1))

    def test_opcheck(self) -> None:
        input, weight, bias = checks.leaves(*tensors(2, "grouped", stride=2, padding=1))
        settings = [2, 2], [1, 1], [1, 1]
        operator = torch.ops.striate.local_conv.default
        torch.library.opcheck(operator, (input, weight, bias, *settings))
        torch.library.opcheck(operator, (input, weight, None, *settings))
        grad = torch.ones_like(operator(input, weight, bias, *settings)).requires_grad_()
        backward = torch.ops.striate.local_conv_backward.default
        torch.library.opcheck(backward, (grad, input, weight, *settings, [True, True]))
        torch.library.opcheck(backward, (grad, input, weight, *settings, [False, True]))


@pytest.mark.parametrize(
    "settings", [{"stride": 2, "padding": 1}, {"padding": "same", "padding_mode": "reflect", "dilation": 2}], ids=str
)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_exports_to_onnx(axes: int, settings: dict[str, Any], tmp_path: Path) -> None:
    inputs = [tensor.float() for tensor in tensors(axes, "grouped", **settings)]
    assert "MatMul" in checks.check_onnx(local(axes, "grouped", **settings), tmp_path, *inputs)


@pytest.mark.parametrize("few", [True, False])
def test_one_file_for_any_batch(few: bool, tmp_path: Path) -> None:
    input, weight, bias = (tensor.float() for tensor in tensors(2, batch=2))

    class Layer(torch.nn.Module):
        def forward(self, input: Tensor) -> Tensor:
            return local_conv2d(input, weight, bias)

    file = tmp_path / "operator.onnx"
    with warnings.catch_warnings():
        # PyTorch's own exporter warns of its own calls.
        warnings.simplefilter("ignore")
        shapes = {"input": {0: torch.export.Dim("n", min=1, max=64)}}
        torch.onnx.export(Layer(), (input,), file, dynamo=True, verbose=False, dynamic_shapes=shapes)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    other = draw(1 if few else 9, *input.shape[1:]).float()
    (output,) = session.run(None, {session.get_inputs()[0].name: other.numpy()})
    checks.assert_close(torch.from_numpy(output), local_conv2d(other, weight, bias), torch.float32)


@pytest.mark.parametrize("batch", [2, 9])
def test_what_is_no_number_stays_where_it_is(batch: int) -> None:
    """No lane of a vector, no padding and no room is mixed with others, be it by a factor of zero."""
    input, weight, _ = tensors(2, "wide", batch=batch, padding=1)
    for bad in (math.nan, math.inf):
        tainted = weight.clone()
        tainted[2, 3, 4, 16, 2, 2] = bad
        output = local(2, "wide", padding=1)(input, tainted)
        assert not output[:, 4, 2, 3].isfinite().any()
        output[:, 4, 2, 3] = 0
        assert output.isfinite().all()
    tainted = input.clone()
    tainted[1, 5, 0, 0] = math.nan
    output = local(2, "wide", padding=1)(tainted, weight)
    assert not output[1, :, :2, :2].isfinite().any()
    output[1, :, :2, :2] = 0
    assert output.isfinite().all()
    grad = torch.ones_like(output)
    grad[1, 3, 4, 5] = math.nan
    of_input, of_weight = torch.autograd.grad(
        local(2, "wide", padding=1)(*(own := checks.leaves(input, weight))), own, grad
    )
    assert not of_weight[4, 5, 3, :, :2, :2].isfinite().any()
    of_weight[4, 5, 3] = 0
    assert of_weight.isfinite().all()
    assert not of_input[1, :, 3:, 4:].isfinite().any()
    of_input[1, :, 3:, 4:] = 0
    assert of_input.isfinite().all()


WORKER = """
import torch, striate
from torch.utils.data import DataLoader, Dataset

def results():
    generator = torch.Generator().manual_seed(0)
    maps, filters = torch.randn(8, 4, 9, 9, generator=generator), torch.randn(7, 7, 4, 4, 3, 3, generator=generator)
    return striate.local_conv2d(maps, filters), striate.local_conv_transpose2d(maps[..., :7, :7], filters)

class Results(Dataset):
    def __len__(self):
        return 2
    def __getitem__(self, index):
        return results()[index]

torch.set_num_threads(2)
for child, parent in zip(DataLoader(Results(), batch_size=None, num_workers=1, timeout=60), results(), strict=True):
    assert torch.equal(child, parent)
print("same")
"""


def test_a_worker_can_call_what_its_parent_has_called() -> None:
    done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "same\n", done.stderr


def test_images_that_lie_far_apart() -> None:
    """Beyond 2^31 numbers: a view of memory that is reserved and not touched but for these images."""
    far = torch.empty(2**31 + 2**12).as_strided((2, 3, 5, 6), (2**31, 30, 6, 1))
    input, weight, bias = (tensor.float() for tensor in tensors(2))
    far.copy_(input)
    assert torch.equal(local_conv2d(far, weight, bias), local_conv2d(input, weight, bias))


def test_blocks_refuse_what_is_not_flat() -> None:
    from numba.core.errors import TypingError

    from striate.ops._unshared import kernels

    plane, table = np.zeros((4, 8), np.float32), np.zeros(1, np.int64)
    with pytest.raises(TypingError, match="a block is made of flat contiguous arrays, not of array"):
        kernels.sums(table, table, 8, 1, 8, plane, np.zeros(1, np.float32), 0, 0, 1, np.zeros(8, np.float32))


def test_dispatch_is_explained() -> None:
    input, weight, _ = tensors(2)
    assert dispatch.explain_dispatch("local_conv2d", input, weight).startswith("local_conv2d: kernels: ")
    with dispatch.routes_taken() as taken:
        torch.func.vmap(lambda sample: local_conv2d(sample, weight))(input)
    assert [route.name for _, route in taken] == ["reference"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input": torch.zeros(4, 9)}, ValueError, r"input must be \(N, C, H, W\) or \(C, H, W\), got \(4, 9\)"),
        (
            {"input": torch.zeros(1, 4, 9, 9).long()},
            TypeError,
            "input must hold floating-point numbers, got torch.int64",
        ),
        ({"input": torch.zeros(1, 4, 0, 9)}, ValueError, "axis 0: the input size must be at least 1"),
        ({"weight": torch.zeros(7, 7, 6, 2, 3, 3).double()}, TypeError, "weight must have the dtype of input"),
        ({"weight": torch.zeros(7, 7, 6, 2, 3, 3, device="meta")}, ValueError, "weight must be on the device of input"),
        (
            {"weight": torch.zeros(6, 2, 3, 3)},
            ValueError,
            r"weight must be \(\*output sizes, out, in / groups, k1, k2\) with 6 axes, none 0, got \(6, 2, 3, 3\)",
        ),
        ({"weight": None}, TypeError, "local_conv2d: weight must be a tensor, got NoneType"),
        ({"weight": torch.zeros(7, 7, 6, 2, 0, 3)}, ValueError, r"none 0, got \(7, 7, 6, 2, 0, 3\)"),
        (
            {"weight": torch.zeros(7, 9, 6, 2, 3, 3)},
            ValueError,
            r"must be the output sizes \(7, 7\), got \(7, 9\) in \(7",
        ),
        ({"weight": torch.zeros(7, 7, 6, 3, 3, 3)}, ValueError, "input has 4 channels, weight .* takes 6 and gives 6"),
        ({"weight": torch.zeros(7, 7, 5, 2, 3, 3)}, ValueError, "gives 5: groups must divide both"),
        ({"weight": torch.zeros(7, 7, 6, 2, 3, 10)}, ValueError, "axis 1: the window is larger than the padded input"),
        ({"groups": 3}, ValueError, "groups=3 takes 6 and gives 6"),
        ({"groups": 0}, ValueError, "local_conv2d: groups must be an integer of at least 1, got 0"),
        *(({"groups": groups}, TypeError, "groups must be an integer of at least 1, got") for groups in NO_NUMBERS),
        ({"bias": torch.zeros(5)}, ValueError, r"bias must be \(6,\) or \(7, 7, 6\), got \(5,\)"),
        ({"bias": torch.zeros(6, 7, 7)}, ValueError, r"bias must be \(6,\) or \(7, 7, 6\), got \(6, 7, 7\)"),
        ({"bias": torch.zeros(6).half()}, TypeError, "bias must have the dtype of input"),
        ({"stride": 0}, ValueError, "stride must be an integer of at least 1"),
        ({"stride": 2}, ValueError, r"must be the output sizes \(4, 4\), got \(7, 7\)"),
        ({"dilation": (1, 0)}, ValueError, "dilation must be an integer of at least 1"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0"),
        ({"padding": "sam"}, ValueError, "did you mean 'same'"),
        ({"padding": (1, 2, 3, 4)}, ValueError, r"for pairs \(low, high\) write \(\(1, 2\), \(3, 4\)\)"),
        ({"padding_mode": "mirror"}, ValueError, "padding_mode must be one of .*, got 'mirror'"),
        ({"padding_mode": "constant"}, ValueError, "border and padding_mode='constant' go together"),
        ({"border": torch.zeros(4)}, ValueError, "border and padding_mode='constant' go together"),
        ({"padding_mode": "constant", "border": torch.zeros(3)}, ValueError, r"border must be \(4,\), .* got \(3,\)"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    right = {"input": torch.zeros(1, 4, 9, 9), "weight": torch.zeros(7, 7, 6, 2, 3, 3), "groups": 2}
    with pytest.raises(error, match=message):
        local_conv2d(**{**right, **change})


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_bias_shared_and_not(axes: int) -> None:
    input, weight, bias = tensors(axes, size=4, kernel=2)
    for own in (bias, bias[(0,) * axes].contiguous()):
        checks.check_same(LOCAL[axes - 1], by_columns(axes), input, weight, own)
