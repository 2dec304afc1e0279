import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from striate import models, tables
from striate import nn as layers
from striate.inspection.memory.usage import Usage, usage
from striate.inspection.tracing.trace import trace

Case = tuple[nn.Module, Sequence[Tensor]]


def read(model: nn.Module, inputs: Sequence[Tensor]) -> Usage:
    found = trace(model, inputs)
    assert found.failure is None, found.failure
    return usage(found, model)


def saved_for_real(model: nn.Module, inputs: Sequence[Tensor]) -> tuple[int, int, int]:
    """What a real run keeps for its backward pass: for itself, of parameters and buffers, of its inputs."""
    held: list[Tensor] = []

    def hold(tensor: Tensor) -> Tensor:
        held.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        output = model(*inputs)
    stretches = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in held}
    owned = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    given = {t.untyped_storage().data_ptr() for t in inputs}
    del output
    return (
        sum(size for place, size in stretches.items() if place not in owned | given),
        sum(size for place, size in stretches.items() if place in owned),
        sum(size for place, size in stretches.items() if place in given),
    )


def peak_for_real(run: Callable[[], object]) -> int:
    """The peak of the running sum of the profiler's memory events."""
    run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.narrow = nn.Conv2d(8, 8, 1)

    def forward(self, input: Tensor) -> Tensor:
        maps = functional.relu(self.norm(self.wide(input)))
        return torch.cat([functional.relu(input + maps, inplace=True), self.narrow(maps) * 2.0], 1)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.norm = nn.LayerNorm(16)
        self.scores = nn.Linear(16, 50, bias=False)
        self.scores.weight = self.words.weight

    def forward(self, input: Tensor) -> Tensor:
        scores: Tensor = self.scores(functional.gelu(self.norm(self.words(input))))
        return scores


class Attention(nn.Module):
    def __init__(self, weights: bool = False) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, dropout=0.1, batch_first=True)
        self.weights = weights

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.attention(input, input, input, need_weights=self.weights)[0]
        return output


class Again(nn.Module):
    """Runs backward through a piece that it computes a second time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3)

    def forward(self, input: Tensor) -> Tensor:
        maps = self.conv(input)
        again: Tensor = torch.utils.checkpoint.checkpoint(lambda x: x.exp().sin(), maps, use_reentrant=False)
        return again * maps


def conv(out: int = 8) -> nn.Conv2d:
    return nn.Conv2d(4, out, 3)


def maps(*sizes: int) -> list[Tensor]:
    return [torch.randn(sizes or (2, 4, 12, 12))]


def named(name: str, *sizes: int) -> Case:
    return models.create(name), maps(*sizes)


CASES: dict[str, Callable[[], Case]] = {
    "branches": lambda: (Branches(), maps(2, 8, 12, 12)),
    "branches, eval": lambda: (Branches().eval(), maps(2, 8, 12, 12)),
    "in place": lambda: (nn.Sequential(conv(), nn.ReLU(True), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.MaxPool2d(2)), maps()),
    "in place on the input": lambda: (nn.Sequential(nn.ReLU(True), conv()), maps()),
    "dropout": lambda: (nn.Sequential(conv(), nn.Dropout(0.3), nn.Dropout2d(), nn.Dropout(0.2, True)), maps()),
    "tied": lambda: (Tied(), [torch.randint(0, 50, (2, 7))]),
    "attention": lambda: (Attention(), maps(2, 7, 16)),
    "attention, eval": lambda: (Attention().eval(), maps(2, 7, 16)),
    "attention with weights": lambda: (Attention(True), maps(2, 7, 16)),
    "transformer": lambda: (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), maps(2, 7, 16)),
    "recomputed": lambda: (Again(), maps()),
    "frozen": lambda: (nn.Sequential(conv(4).requires_grad_(False), nn.ReLU(), conv()), maps()),
    "weight norm": lambda: (nn.utils.parametrizations.weight_norm(conv()), maps()),
    "transposed": lambda: (nn.Sequential(nn.ConvTranspose2d(4, 6, 3, 2), nn.ReflectionPad2d(1), nn.Sigmoid()), maps()),
    "norms": lambda: (
        nn.Sequential(conv(), nn.GroupNorm(2, 8), nn.SiLU(), nn.InstanceNorm2d(8), nn.Softmax(1)),
        maps(),
    ),
    "bfloat16": lambda: (nn.Sequential(conv(), nn.ReLU()).bfloat16(), [torch.randn(2, 4, 12, 12).bfloat16()]),
    "deformable": lambda: (nn.Sequential(conv(4), layers.DeformConv2d(4, 6, 3, predict=True), nn.Tanh()), maps()),
    "unshared": lambda: (nn.Sequential(conv(), layers.LocalConv2d(8, 6, 3, 10), nn.ReLU()), maps()),
    "table": lambda: (nn.Sequential(conv(6), layers.TableConv2d(tables.lenet5_c3(), 16, 3)), maps()),
    "depthwise": lambda: (nn.Sequential(conv(), layers.DepthwiseConv2d(8, 5), layers.GaussianPool2d(3)), maps()),
    "contrast": lambda: (nn.Sequential(conv(), layers.LocalContrastNorm(5), layers.LocalResponseNorm(5)), maps()),
    "pools": lambda: (nn.Sequential(conv(), layers.MaxPool2d(2), layers.AvgPool2d(2), layers.LPPool2d(2, 2)), maps()),
    "lenet5": lambda: named("lenet5", 2, 1, 28, 28),
    "alexnet_2012": lambda: named("alexnet_2012", 1, 3, 227, 227),
    "resnet18": lambda: named("resnet18", 2, 3, 64, 64),
    "mobilenet_v2": lambda: named("mobilenet_v2", 2, 3, 64, 64),
    "resnet1d18": lambda: named("resnet1d18", 2, 1, 200),
    "all_cnn_c": lambda: named("all_cnn_c", 2, 3, 32, 32),
    "googlenet": lambda: named("googlenet", 2, 3, 96, 96),
}


@pytest.mark.parametrize("name", CASES)
def test_saved_for_backward_is_that_of_a_real_run_to_the_byte(name: str) -> None:
    model, inputs = CASES[name]()
    found = read(model, inputs)
    total = found.saved_for_backward_bytes
    assert total.state == "complete"
    real = saved_for_real(model, inputs)
    assert (total.value, found.saved_parameters_bytes, found.saved_input_bytes) == real
    assert sum(item.nbytes for item in found.kept) == total.value
    assert sum(real) > 0


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_are_a_lower_bound(kind: type[nn.RNNBase]) -> None:
    model = kind(8, 16)
    inputs = [torch.randn(5, 2, 8)]
    total = read(model, inputs).saved_for_backward_bytes
    assert total.state == "lower bound" and kind.__name__ in total.missing
    assert total.value is not None and 0 < total.value <= saved_for_real(model, inputs)[0]


class _Squares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, input: Tensor) -> Tensor:
        ctx.squared = input * input  # type: ignore[attr-defined]
        return input + 1

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> Tensor:  # type: ignore[override]
        result: Tensor = grad * ctx.squared  # type: ignore[attr-defined]
        return result


class Hiding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv()

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = _Squares.apply(_Squares.apply(self.conv(input)))
        return output


def test_functions_that_hide_tensors_are_named() -> None:
    found = read(Hiding(), maps())
    total = found.saved_for_backward_bytes
    assert (total.state, total.missing) == ("lower bound", ("_Squares",))
    # Without gradients two maps live at once and, at the end of the second product, three.
    assert found.peak_forward_bytes.value == 3 * 2 * 8 * 10 * 10 * 4


def test_a_network_that_fails_has_no_numbers() -> None:
    model = nn.Sequential(conv(), nn.Linear(3, 2))
    found = usage(trace(model, maps()), model)
    for total in (found.saved_for_backward_bytes, found.peak_forward_bytes):
        assert (total.value, total.state) == (None, "unavailable")
    assert found.to_dict()["training_bytes"]["adam"] is None
    with pytest.raises(ValueError, match="what training needs is unknown: the network failed with"):
        found.training()


def test_reasons() -> None:
    model = nn.Sequential(
        conv(), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.MaxPool2d(2), nn.Dropout(), nn.Flatten(),
        nn.Linear(128, 16), nn.Softmax(1),
    )  # fmt: skip
    found = trace(model, maps())
    kept = [(found.calls[item.call].name, item.reason, item.nbytes) for item in usage(found, model).kept]
    assert [item for item in kept if item[2]] == [
        ("1", "ReLU keeps its output", 6400),
        ("3", "batch norm keeps its input", 4096),
        ("3", "batch norm keeps its statistics", 32),
        ("3", "batch norm keeps its statistics", 32),
        ("4", "max pooling keeps its input", 4096),
        ("4", "max pooling keeps int64 indices", 2048),
        ("5", "dropout keeps its mask", 1024),
        ("7", "linear keeps its input", 1024),
        ("8", "softmax keeps its output", 128),
    ]
    # The network's own input is apart, and what ReLU keeps is not counted again.
    assert ("0", "conv keeps its input", 0) in kept and ("2", "conv keeps its input", 0) in kept


def test_our_own_operators_have_reasons() -> None:
    model = nn.Sequential(conv(), layers.MaxPool2d(2), layers.LocalConv2d(8, 6, 3, 5), layers.LocalResponseNorm(3))
    reasons = {item.reason: item.nbytes for item in read(model, maps()).kept if item.nbytes}
    assert reasons == {
        "max pooling keeps uint8 indices": 400,
        "unshared conv keeps its input": 1600,
        "local response norm keeps its input": 432,
    }


def last(model: nn.Module, input: Tensor) -> tuple[nn.Module, Tensor]:
    """In the order of axes in which PyTorch's kernels hold no copies of inputs and outputs."""
    return model.to(memory_format=torch.channels_last), input.to(memory_format=torch.channels_last)


PEAKS = {
    "lenet5": (64, 1, 28, 28), "vgg11": (2, 3, 128, 128), "resnet18": (16, 3, 128, 128), "mlp": (64, 1, 28, 28),
    "mobilenet_v2": (4, 3, 128, 128), "googlenet": (4, 3, 128, 128), "zfnet": (2, 3, 224, 224),
}  # fmt: skip


@pytest.mark.parametrize("name", PEAKS)
def test_the_peak_of_a_forward_pass_is_that_of_the_profiler(name: str) -> None:
    model, input = last(models.create(name).eval(), torch.randn(PEAKS[name]))
    peak = read(model, [input]).peak_forward_bytes.value
    with torch.inference_mode():
        assert peak == pytest.approx(peak_for_real(lambda: model(input)), rel=0.05)


@pytest.mark.parametrize("name", ["lenet5", "vgg11", "mobilenet_v2"])
def test_the_peak_of_training_is_that_of_the_profiler(name: str) -> None:
    model, input = last(models.create(name), torch.randn(PEAKS[name]))

    def step() -> None:
        output = model(input)
        output.backward(torch.empty_like(output))
        model.zero_grad()

    peak = read(model, [input]).peak_training_bytes
    assert peak.state == "complete" and peak.value == pytest.approx(peak_for_real(step), rel=0.05)


def test_our_functions_keep_nothing_extra_without_gradients() -> None:
    model = nn.Sequential(conv(), layers.MaxPool2d(2))
    assert read(model, maps()).peak_forward_bytes.value == 6400 + 1600


def test_attention_runs_another_way_without_gradients() -> None:
    peak = read(Attention().eval(), maps(2, 7, 16)).peak_forward_bytes
    assert (peak.state, peak.missing) == ("lower bound", ("aten._native_multi_head_attention",))


def test_weights_gradients_and_buffers() -> None:
    model = nn.Sequential(conv(4), nn.BatchNorm2d(4), conv().requires_grad_(False), Tied().double().scores)
    found = usage(trace(model, maps()), model)
    counts = [4 * 4 * 9 + 4, 4 + 4, 8 * 4 * 9 + 8]
    assert found.parameters_bytes == 4 * sum(counts) + 8 * 16 * 50
    assert found.gradients_bytes == 4 * sum(counts[:2]) + 8 * 16 * 50
    assert found.buffers_bytes == 4 * (4 + 4) + 8
    assert found.input_bytes == 2 * 4 * 12 * 12 * 4


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sgd", lambda weights: torch.optim.SGD(weights, 0.1)),
        ("momentum", lambda weights: torch.optim.SGD(weights, 0.1, momentum=0.9)),
        ("adam", torch.optim.Adam),
    ],
)
def test_optimizers_hold_what_real_ones_hold(name: str, make: Callable[..., torch.optim.Optimizer]) -> None:
    model = Tied()
    words = torch.randint(0, 50, (2, 7))
    optimizer = make(model.parameters())
    model(words).sum().backward()
    optimizer.step()
    held = [item for state in optimizer.state.values() for item in state.values() if isinstance(item, Tensor)]
    real = sum(item.untyped_storage().nbytes() for item in held)
    found = read(model, [words])
    assert found.optimizer_bytes(name) == real
    step = found.training(name)
    parts = (step.parameters, step.buffers, step.gradients, step.optimizer, step.input, step.saved)
    assert step.optimizer == real and step.total == sum(parts)


def test_there_is_no_other_optimizer() -> None:
    with pytest.raises(ValueError, match="optimizer must be one of sgd, momentum, adam, got 'lion'"):
        read(conv(), maps()).optimizer_bytes("lion")  # type: ignore[arg-type]


def vgg16(batch: int = 1) -> Usage:
    with torch.device("meta"):
        model = models.create("vgg16").eval()
    # The first VGG had no such layer: at 224 it copies what it is given.
    assert isinstance(model.avgpool, nn.AdaptiveAvgPool2d)
    model.avgpool = nn.Identity()
    return read(model, [torch.empty(batch, 3, 224, 224, device="meta")])


def test_the_memory_of_vgg16() -> None:
    found = vgg16()
    assert found.outputs_bytes == 4 * 15_237_608
    assert found.outputs_apart_bytes == pytest.approx(115.2e6, rel=5e-4)
    first_two = 2 * 64 * 224 * 224 * 4
    assert first_two / (found.outputs_bytes - found.input_bytes) == pytest.approx(0.426, abs=5e-4)
    # Two maps of the first layers at once, of 64 channels each.
    assert found.peak_forward_bytes.value == first_two


def test_backward_of_vgg16_is_not_the_double() -> None:
    found = vgg16()
    saved = found.saved_for_backward_bytes.value
    assert saved is not None and (saved + found.input_bytes) / found.outputs_bytes == pytest.approx(1.2, abs=0.05)
    # What a picture more costs a training step, gradients of the maps included, against its inputs and outputs.
    each = found.training_of_batch(101) - found.training_of_batch(100) + found.input_bytes
    assert each / found.outputs_bytes == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize("name", ["branches", "pools", "deformable", "lenet5"])
def test_functions_of_the_batch_are_exact(name: str) -> None:
    model, (input,) = CASES[name]()
    found = read(model, [input])
    more = read(model, [torch.randn(11, *input.shape[1:])])
    assert found.saved_of_batch.exact and found.peak_forward_of_batch.exact and found.training_of_batch.exact
    assert found.saved_of_batch(11) == more.saved_for_backward_bytes.value
    assert found.peak_forward_of_batch(11) == more.peak_forward_bytes.value
    assert found.training_of_batch(11) == more.peak_training_bytes.value


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_the_largest_batch_fits_and_the_next_does_not(optimizer: str) -> None:
    found = read(*CASES["branches"]())
    most = found.largest_batch(2**24, optimizer)
    assert found.step_bytes(most, optimizer) <= 2**24 < found.step_bytes(most + 1, optimizer)


def test_the_largest_batch_of_inference() -> None:
    model, inputs = CASES["lenet5"]()
    found = read(model, inputs)
    fixed = found.parameters_bytes + found.buffers_bytes
    each = math.prod(inputs[0].shape[1:]) * 4 + found.peak_forward_of_batch(1)
    assert found.largest_batch(fixed + 1000 * each, None) == 1000
    assert found.largest_batch(fixed + 1000 * each - 1, None) == 999
    assert found.largest_batch(fixed, None) == 0


def test_bad_memory() -> None:
    with pytest.raises(ValueError, match="memory_bytes must be positive, got 0"):
        read(conv(), maps()).largest_batch(0)
