"""Local contrast normalisation: values, Jarrett's formula, Torch7's modules, light and contrast, gradients."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import striate
from ops import checks
from ops.norm_sweep import contrast_norm
from striate.ops import dispatch
from striate.ops.local_contrast_norm import divisive_norm, local_contrast_norm, reference, subtractive_norm
from striate.ops.local_contrast_norm.registered import _normalize, _normalize_backward
from striate.ops.local_contrast_norm.window import Rule

PARTS = {
    "local_contrast_norm": (local_contrast_norm, {}),
    "subtractive_norm": (subtractive_norm, {"divide": False}),
    "divisive_norm": (divisive_norm, {"subtract": False}),
}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"border": "zeros"},
    {"floor": 0.8},
    {"mode": "torch7"},
    {"mode": "torch7", "floor": 0.8, "border": "zeros", "sigma": 0.9},
]
CASES = [
    (name, settings)
    for name, settings in itertools.product(PARTS, SETTINGS)
    if name != "subtractive_norm" or not settings.keys() & {"floor", "mode"}
]


def maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def norm(name: str, kernel: int | tuple[int, ...] = 3, **settings: Any) -> Callable[[Tensor], Tensor]:
    return lambda input: PARTS[name][0](input, kernel, **settings)


def defined(name: str, kernel: int | tuple[int, ...] = 3, **settings: Any) -> Callable[[Tensor], Tensor]:
    def call(input: Tensor) -> Tensor:
        axes = input.ndim - 2
        taps = [kernel] * axes if isinstance(kernel, int) else list(kernel)
        own = {**settings, "sigma": [settings["sigma"]] * axes} if "sigma" in settings else settings
        return contrast_norm(input, taps, **own, **PARTS[name][1])

    return call


def test_by_hand() -> None:
    series = torch.tensor([2.0, 4.0, 9.0]).view(1, 1, 3)
    e = math.exp(-0.5)
    means = [(2 + 4 * e) / (1 + e), (4 + 11 * e) / (1 + 2 * e), (9 + 4 * e) / (1 + e)]
    v = [x - mean for x, mean in zip([2, 4, 9], means, strict=True)]
    assert subtractive_norm(series, 3, sigma=1.0).flatten().tolist() == pytest.approx(v)
    s = [
        math.sqrt((v[0] ** 2 + e * v[1] ** 2) / (1 + e)),
        math.sqrt((v[1] ** 2 + e * (v[0] ** 2 + v[2] ** 2)) / (1 + 2 * e)),
        math.sqrt((v[2] ** 2 + e * v[1] ** 2) / (1 + e)),
    ]
    c = sum(s) / 3
    found = local_contrast_norm(series, 3, sigma=1.0).flatten().tolist()
    assert found == pytest.approx([x / max(c, t) for x, t in zip(v, s, strict=True)])
    found = local_contrast_norm(series, 3, sigma=1.0, floor=2.0).flatten().tolist()
    assert found == pytest.approx([x / max(2.0, t) for x, t in zip(v, s, strict=True)])


def test_channels_share_one_mean_and_one_deviation() -> None:
    pair = torch.tensor([[1.0, 1.0], [5.0, 5.0]]).view(1, 2, 2)
    assert subtractive_norm(pair, 1).flatten().tolist() == [-2, -2, 2, 2]
    assert local_contrast_norm(pair, 1).flatten().tolist() == [-1, -1, 1, 1]


def test_the_deviation_is_a_quarter_of_the_taps() -> None:
    input = maps(1, 2, 9, 8)
    assert torch.equal(local_contrast_norm(input), local_contrast_norm(input, 7, sigma=1.75))
    wide = local_contrast_norm(input, (3, 9), sigma=(0.75, 2.25))
    assert torch.equal(local_contrast_norm(input, (3, 9)), wide)


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
@pytest.mark.parametrize(
    ("shape", "kernel"),
    [((2, 3, 9), 5), ((5, 4, 6, 7), 7), ((1, 20, 17, 33), (3, 9)), ((2, 3, 4, 3, 5), 3), ((4, 1, 2, 2), 9)],
    ids=str,
)
def test_equals_its_definition(name: str, settings: dict[str, Any], shape: tuple[int, ...], kernel: Any) -> None:
    call, wished = norm(name, kernel, **settings), defined(name, kernel, **settings)
    checks.check_same(call, wished, maps(*shape))
    if len(shape) > 3:
        layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
        checks.check_same(call, wished, maps(*shape).contiguous(memory_format=layout))


def torch7_subtractive(input: Tensor, kernel: Tensor) -> Tensor:
    """`SpatialSubtractiveNormalization`, line by line, of one picture: a sum over planes, replicated."""
    planes, pad = len(input), [taps // 2 for taps in kernel.shape]
    own = kernel / (kernel.sum() * planes)
    estimate = lambda maps: F.conv2d(maps[:, None], own[None, None], padding=pad).sum(0).expand(planes, -1, -1)  # noqa: E731
    return input - estimate(input) / estimate(torch.ones_like(input))


def torch7_divisive(input: Tensor, kernel: Tensor, threshold: float = 1e-4, thresval: float = 1e-4) -> Tensor:
    """`SpatialDivisiveNormalization`, line by line, of one picture."""
    planes, pad = len(input), [taps // 2 for taps in kernel.shape]
    own = kernel / (kernel.sum() * planes)
    estimate = lambda maps: F.conv2d(maps[:, None], own[None, None], padding=pad).sum(0).expand(planes, -1, -1)  # noqa: E731
    adjusted = estimate(input.square()).sqrt() / estimate(torch.ones_like(input))
    return input / F.threshold(adjusted, threshold, thresval)


@pytest.mark.parametrize("floor", [None, 0.7])
def test_equals_torch7(floor: float | None) -> None:
    places = torch.arange(-3, 4, dtype=torch.float64)
    row = torch.exp(-((places / 1.75) ** 2) / 2)
    kernel, least = torch.outer(row, row), 1e-4 if floor is None else floor
    input = maps(2, 3, 12, 10)

    def each(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda batch: torch.stack([function(picture) for picture in batch])

    divided = lambda picture: torch7_divisive(picture, kernel, least, least)  # noqa: E731
    checks.check_same(lambda x: subtractive_norm(x), each(lambda x: torch7_subtractive(x, kernel)), input)
    checks.check_same(lambda x: divisive_norm(x, mode="torch7", floor=floor), each(divided), input)
    checks.check_same(
        lambda x: local_contrast_norm(x, mode="torch7", floor=floor),
        each(lambda x: divided(torch7_subtractive(x, kernel))),
        input,
    )


class TestLecture:
    @pytest.mark.parametrize("number", [1 / 3, -7.1, 1e-20, 12345.678, 0.0])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("mode", ["jarrett2009", "torch7"])
    def test_a_constant_picture_becomes_nothing_at_the_borders_too(self, number: float, dtype: Any, mode: Any) -> None:
        for shape in ((1, 3, 9), (4, 7, 12, 10), (2, 16, 3, 4, 5)):
            (input,) = checks.leaves(torch.full(shape, number).to(dtype))
            layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(len(shape), torch.contiguous_format)
            for picture in (input, input.contiguous(memory_format=layout)):
                for output in (local_contrast_norm(picture, 5, mode=mode), subtractive_norm(picture, 5)):
                    assert not output.any()
                    assert torch.autograd.grad(output.sum(), input, retain_graph=True)[0].isfinite().all()
            rule = Rule([5] * (len(shape) - 2), [1.25] * (len(shape) - 2), True, True, mode == "torch7", True, None)
            assert not reference.local_contrast_norm(input, rule).any()

    @pytest.mark.parametrize(("gain", "light"), [(1.0, 40.0), (0.01, 0.0), (300.0, -7.0), (2.0**-20, 1.0)])
    @pytest.mark.parametrize("shape", [(2, 3, 30), (2, 3, 20, 21), (1, 2, 5, 6, 7)], ids=str)
    def test_light_and_contrast_do_not_matter(self, gain: float, light: float, shape: tuple[int, ...]) -> None:
        picture = maps(*shape)
        checks.assert_close(local_contrast_norm(gain * picture + light), local_contrast_norm(picture), torch.float32)
        checks.assert_close(divisive_norm(gain * picture), divisive_norm(picture))
        checks.assert_close(subtractive_norm(picture + light), subtractive_norm(picture))

    def test_a_floor_lets_weak_contrast_stay_weak(self) -> None:
        picture = 1e-3 * maps(1, 2, 20, 20)
        weak = local_contrast_norm(picture, floor=1.0)
        checks.assert_close(weak, subtractive_norm(picture))
        assert local_contrast_norm(picture).abs().max() > 1

    def test_other_borders_darken_the_rim_of_a_constant_picture(self) -> None:
        found = subtractive_norm(torch.ones(1, 1, 20, 20), border="zeros")[0, 0]
        assert found[3:-3, 3:-3].abs().max() < 1e-6
        assert found[0].min() > 0.3


def test_both_halves_make_the_whole() -> None:
    input = maps(2, 3, 10, 9)
    checks.check_same(lambda x: divisive_norm(subtractive_norm(x)), lambda x: local_contrast_norm(x), input)


def test_many_channels_and_many_pictures_take_every_way() -> None:
    """Few pictures are shared out in bands, many are not: the bits of a picture stay the same."""
    input = maps(5, 3, 60, 50).float()
    for picture in (input, input.contiguous(memory_format=torch.channels_last)):
        whole = local_contrast_norm(picture)
        assert torch.equal(torch.cat([local_contrast_norm(picture[n : n + 1]) for n in range(5)]), whole)
        grads = checks.gradients_of(lambda x: local_contrast_norm(x) * 2, picture)[0]
        definition = checks.gradients_of(lambda x: contrast_norm(x, [7, 7]) * 2, picture.double())[0]
        checks.assert_close(grads, definition)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4), (2, 3, 0, 4)], ids=str)
@pytest.mark.parametrize("name", PARTS)
def test_empty(name: str, shape: tuple[int, ...]) -> None:
    (input,) = checks.leaves(torch.zeros(shape))
    output = norm(name)(input)
    assert output.shape == shape
    assert torch.autograd.grad(output.sum(), input)[0].shape == shape


@pytest.mark.parametrize("lost", [float("nan"), float("inf")])
def test_what_is_not_finite_reaches_its_window_alone(lost: float) -> None:
    picture = maps(1, 2, 40, 40)
    picture[0, 1, 20, 20] = lost
    reached = torch.zeros(40, 40, dtype=torch.bool)
    reached[17:24, 17:24] = True
    assert torch.equal(~subtractive_norm(picture).isfinite().all(1)[0], reached)
    divided = divisive_norm(picture, floor=1.0)
    assert divided[0, :, ~reached].isfinite().all()
    assert (divided[0, 0, reached].isnan() if math.isnan(lost) else divided[0, 0, reached] == 0).all()


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_gradients(name: str, settings: dict[str, Any]) -> None:
    checks.check_gradients(norm(name, **settings), maps(1, 2, 4))


def test_gradients_of_pictures() -> None:
    checks.check_gradients(norm("local_contrast_norm"), maps(1, 2, 3, 2))


def test_gradients_of_volumes() -> None:
    checks.check_gradients(norm("local_contrast_norm"), maps(1, 2, 2, 2, 2))


def test_gradients_where_nothing_differs_are_those_of_the_reference() -> None:
    """One half of the picture is flat: its deviation is 0 there, and the gradient of a root at 0 is taken for 0."""
    picture = torch.zeros(1, 2, 4, 16, dtype=torch.float64)
    picture[..., 8:] = maps(1, 2, 4, 8)
    for name, (subtract, divide) in {"local_contrast_norm": (True, True), "divisive_norm": (False, True)}.items():
        rule = Rule([3, 3], [0.75, 0.75], subtract, divide, False, True, None)
        checks.check_same(norm(name), lambda x, rule=rule: reference.local_contrast_norm(x, rule), picture)
        assert checks.gradients_of(norm(name), picture)[0].isfinite().all()
        floor = Rule([3, 3], [0.75, 0.75], subtract, divide, False, True, 0.0)
        checks.check_same(norm(name, floor=0.0), lambda x, rule=floor: reference.local_contrast_norm(x, rule), picture)


def test_third_order() -> None:
    (input,) = checks.leaves(maps(1, 2, 4))

    def third(function: Callable[[Tensor], Tensor]) -> Tensor:
        (first,) = torch.autograd.grad(function(input).pow(3).sum(), input, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), input, create_graph=True)
        return torch.autograd.grad(second.square().sum(), input)[0]

    checks.assert_close(third(norm("local_contrast_norm")), third(defined("local_contrast_norm")), torch.float32)


def test_what_pytorch_asks_of_a_custom_operator() -> None:
    rule = True, True, False, True, None
    for input in (maps(2, 3, 4, 5), maps(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)):
        torch.library.opcheck(_normalize, (*checks.leaves(input), [3, 5], [0.75, 1.25], *rule))
    torch.library.opcheck(_normalize_backward, (*checks.leaves(maps(2, 3, 4), maps(2, 3, 4)), [3], [0.75], *rule))


@pytest.mark.parametrize("name", PARTS)
class TestHabits:
    def test_transforms(self, name: str) -> None:
        call = norm(name)
        checks.check_transforms(lambda input, gain: gain * call(input), maps(2, 2, 4), maps(2, 4))

    def test_compiles(self, name: str) -> None:
        checks.check_compiles(norm(name), lambda size: (maps(2, 3, size, size + 1),), sizes=(5, 8))

    @pytest.mark.parametrize("shape", [(2, 3, 9), (2, 3, 8, 7)], ids=str)
    def test_dtypes(self, name: str, shape: tuple[int, ...]) -> None:
        checks.check_dtypes(norm(name), maps(*shape))

    @pytest.mark.parametrize("shape", [(2, 3, 9), (2, 3, 8, 7), (2, 3, 3, 4, 5)], ids=str)
    def test_formats(self, name: str, shape: tuple[int, ...]) -> None:
        checks.check_formats(norm(name), maps(*shape))

    @pytest.mark.parametrize("batch", [2, 5])
    def test_deterministic(self, name: str, batch: int) -> None:
        checks.check_deterministic(norm(name), maps(batch, 6, 60, 61).float(), threads=True)

    def test_written(self, name: str) -> None:
        checks.check_written(norm(name), defined(name), maps(2, 5, 20, 19).float())

    def test_whole(self, name: str) -> None:
        checks.check_whole(norm(name), maps(2, 5, 20, 19))

    def test_concurrent(self, name: str) -> None:
        checks.check_concurrent(norm(name), maps(2, 5, 40, 40))

    def test_exports_to_onnx(self, name: str, tmp_path: Path) -> None:
        checks.check_onnx(norm(name), tmp_path, maps(2, 3, 8, 7).float())

    def test_autocast_normalises_in_float32(self, name: str) -> None:
        input = maps(2, 3, 8, 7)
        with torch.autocast("cpu", torch.bfloat16):
            for dtype in (torch.float32, torch.bfloat16, torch.float16):
                found = norm(name)(input.to(dtype))
                assert found.dtype == torch.float32
                checks.assert_close(found, norm(name)(input.to(dtype).float()))
            assert norm(name)(input).dtype == torch.float64

    def test_dispatch_is_explained(self, name: str) -> None:
        said = dispatch.explain_dispatch(name, torch.zeros(1, 3, 9, 9))
        assert said == f"{name}: kernels: the channels are averaged first, and only one plane is blurred"
        assert getattr(striate, name) is PARTS[name][0]

    def test_other_devices_run_the_definition(self, name: str) -> None:
        with dispatch.routes_taken() as taken:
            assert norm(name)(torch.zeros(2, 3, 4, device="meta")).shape == (2, 3, 4)
        assert taken[0][1].name == "reference"
        assert "kernels for CPU and CUDA only, and the input is on meta" in taken[0][1].reason


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_the_reference_equals_the_kernels(name: str, settings: dict[str, Any]) -> None:
    """What other devices and transforms run."""
    tangent = maps(2, 3, 8, 7, seed=1)
    input = maps(2, 3, 8, 7)
    _, pushed = torch.func.jvp(norm(name, **settings), (input,), (tangent,))
    _, wished = torch.func.jvp(defined(name, **settings), (input,), (tangent,))
    checks.assert_close(pushed, wished)


def test_exports_volumes_and_series(tmp_path: Path) -> None:
    checks.check_onnx(norm("local_contrast_norm", mode="torch7"), tmp_path, maps(1, 2, 9).float())
    checks.check_onnx(norm("local_contrast_norm", border="zeros"), tmp_path, maps(1, 2, 3, 4, 5).float())


def test_inductor() -> None:
    torch._dynamo.reset()
    function = norm("local_contrast_norm")
    checks.check_same(torch.compile(function, fullgraph=True), function, maps(2, 3, 6, 5))


def test_views_that_are_not_contiguous() -> None:
    picture = maps(2, 6, 8, 8)
    for view in (picture[:, ::2], picture[:, :, 1:7, ::2], picture.transpose(2, 3), picture[:1].expand(3, 6, 8, 8)):
        checks.check_same(norm("local_contrast_norm"), defined("local_contrast_norm"), view)


class Normalized(Dataset[Tensor]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Tensor:
        return local_contrast_norm(maps(2, 3, 20, 20, seed=index))


def test_a_worker_of_a_data_loader_can_call_it() -> None:
    for index, found in enumerate(DataLoader(Normalized(), batch_size=None, num_workers=1, timeout=60)):
        checks.assert_close(found, contrast_norm(maps(2, 3, 20, 20, seed=index), [7, 7]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"input": torch.zeros(3, 9)},
            ValueError,
            r"input must be \(N, C, \*sizes\) with one to three sizes, got \(3, 9\)",
        ),
        ({"input": torch.zeros([1] * 6)}, ValueError, "with one to three sizes, got"),
        ({"input": torch.zeros(1, 3, 9, dtype=torch.int64)}, TypeError, "floating-point numbers, got torch.int64"),
        ({"kernel_size": 4}, ValueError, "kernel_size must be odd, so that the window has a centre, got 4"),
        ({"kernel_size": (3, 2)}, ValueError, r"kernel_size must be odd, .* got \(3, 2\)"),
        ({"kernel_size": 0}, ValueError, "kernel_size must be an integer of at least 1, got 0"),
        ({"kernel_size": 3.0}, TypeError, "kernel_size must be an integer of at least 1, got 3.0"),
        ({"kernel_size": (3, 3, 3)}, ValueError, r"must be one number or one an axis \(2\), got \(3, 3, 3\)"),
        ({"sigma": 0.0}, ValueError, "sigma must be more than 0, got 0.0"),
        ({"sigma": -1.0}, ValueError, "sigma must be a finite number of at least 0.0, got -1.0"),
        ({"sigma": (1.0,)}, ValueError, r"sigma must be one number or one an axis \(2\), got \(1.0,\)"),
        ({"sigma": "wide"}, TypeError, "sigma must be a finite number of at least 0.0, got 'wide'"),
        ({"border": "reflect"}, ValueError, "border must be one of renormalize, zeros, got 'reflect'"),
        ({"mode": "torch"}, ValueError, "mode must be one of jarrett2009, torch7, got 'torch'"),
        ({"floor": -0.1}, ValueError, "floor must be a finite number of at least 0.0, got -0.1"),
        ({"floor": float("nan")}, ValueError, "floor must be a finite number of at least 0.0, got nan"),
    ],
)
@pytest.mark.parametrize("name", PARTS)
def test_errors(name: str, change: dict[str, Any], error: type[Exception], message: str) -> None:
    if name == "subtractive_norm" and change.keys() & {"mode", "floor"}:
        error, message = TypeError, "unexpected keyword argument"
    else:
        message = f"{name}: .*{message}"
    with pytest.raises(error, match=message):
        PARTS[name][0](**{"input": torch.zeros(1, 3, 9, 9), **change})
