import gc
import logging
import random
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import striate
from striate import models
from striate import nn as layers
from striate.inspection.tracing.trace import Operation, Trace, trace


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten(), nn.Linear(144, 5)
    )


def picture() -> Tensor:
    return torch.randn(2, 3, 8, 8)


def names(found: Trace) -> list[str]:
    return [operation.name for operation in found.operations]


def only(found: Trace, name: str) -> Operation:
    (operation,) = (operation for operation in found.operations if operation.name == name)
    return operation


@pytest.mark.parametrize("run", ["forward", "inference", "training"])
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_not_touched(run: str, training: bool) -> None:
    model = small().train(training)
    model[1].eval()
    calls: list[object] = []
    model[0].register_forward_hook(lambda *given: calls.append(given))
    model[5].register_forward_pre_hook(lambda *given: calls.append(given))
    model[0].weight.grad = torch.ones_like(model[0].weight)
    input = picture()
    numbers = {name: value.clone() for name, value in model.state_dict().items()}
    places = {name: value.data_ptr() for name, value in model.state_dict().items()}
    versions = {name: value._version for name, value in model.state_dict().items()}
    attributes = {name: dict(vars(module)) for name, module in model.named_modules()}
    hooks = {name: (*module._forward_hooks, *module._forward_pre_hooks) for name, module in model.named_modules()}
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: B018
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[union-attr]

    assert trace(model, [input], run=run).failure is None  # type: ignore[arg-type]

    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[union-attr]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert not calls
    for name, value in model.state_dict().items():
        assert torch.equal(value, numbers[name]) and value.device.type == "cpu"
        assert (value.data_ptr(), value._version) == (places[name], versions[name])
    for name, module in model.named_modules():
        assert dict(vars(module)) == attributes[name]
        assert (*module._forward_hooks, *module._forward_pre_hooks) == hooks[name]
    assert [module.training for module in model] == [training, False, training, training, training, training]
    grads = [weight.grad for weight in model.parameters()]
    assert grads[0] is not None and bool((grads[0] == 1).all()) and grads[1:] == [None] * 5
    assert input._version == 0 and not input.requires_grad
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_hooks_that_do_not_run_are_named() -> None:
    model = small()
    model[3].register_forward_hook(lambda *_: None)
    assert trace(model, [picture()]).hooks_left_out == ("3",)


def test_nothing_is_allocated() -> None:
    with torch.device("meta"):
        model = models.create("vgg16")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        found = trace(model, [torch.empty(1000, 3, 224, 224, device="meta")])
    assert found.outputs[0].shape == (1000, 1000)
    events = [e.nbytes() for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    assert sum(size for size in events if size > 0) < 2**16


def test_calls_and_operations() -> None:
    found = trace(small(), [picture()])
    assert [call.name for call in found.calls] == ["", "0", "1", "2", "3", "4", "5"]
    assert [call.kind for call in found.calls[:3]] == ["Sequential", "Conv2d", "BatchNorm2d"]
    assert [call.parent for call in found.calls] == [None, 0, 0, 0, 0, 0, 0]
    convolution = only(found, "aten.convolution")
    assert convolution.call == 1 and convolution.inputs[0] is found.inputs[0]
    assert convolution.inputs[1] is found.parameters["0.weight"] and convolution.inputs[1].parameter == "0.weight"
    assert convolution.outputs[0] is found.calls[1].outputs[0]  # type: ignore[index]
    assert found.operations[found.calls[1].first : found.calls[1].last] == [convolution]
    assert found.outputs[0].shape == (2, 5) and found.outputs[0] is found.calls[6].outputs[0]  # type: ignore[index]


def test_what_is_written_in_place_is_another_value_in_the_same_memory() -> None:
    found = trace(small(), [picture()])
    relu = only(found, "aten.relu_")
    assert relu.outputs[0] is not relu.inputs[0] and relu.outputs[0].memory is relu.inputs[0].memory
    assert relu.inputs[0].memory is not only(found, "aten.convolution").outputs[0].memory


class Written(nn.Module):
    def forward(self, input: Tensor) -> Tensor:
        maps = input * 2
        maps[:, 0].zero_()
        return maps + 1


def test_what_lies_where_a_view_was_written_is_stale() -> None:
    found = trace(Written(), [picture()])
    assert only(found, "aten.add").inputs[0].stale
    assert not only(found, "aten.mul").inputs[0].stale


def test_shared_weights_are_one_value() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    found = trace(model, [torch.randn(1, 4)])
    assert found.parameters["0.weight"] is found.parameters["1.weight"]
    assert found.parameters["0.bias"] is not found.parameters["1.bias"]


def test_a_function_of_ours_stands_after_its_parts() -> None:
    model = layers.LocalConv2d(3, 4, 3, 8)
    found = trace(model, [picture()])
    whole = next(place for place, operation in enumerate(found.operations) if operation.name.endswith("()"))
    assert found.operations[whole].function is striate.local_conv2d.__wrapped__  # type: ignore[attr-defined]
    assert "striate.local_conv" in names(found)[:whole]
    assert {operation.within for operation in found.operations[:whole]} == {whole}
    assert found.operations[whole].outputs[0].shape == (2, 4, 6, 6)


def test_a_failure_leaves_the_calls_that_it_ended_in_open(capfd: pytest.CaptureFixture[str]) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Linear(7, 2)))
    found = trace(model, [picture()])
    assert isinstance(found.failure, RuntimeError) and "[48, 6] X [7, 2]" in str(found.failure)
    assert capfd.readouterr() == ("", "")
    assert [call.name for call in found.calls if call.outputs is None] == ["", "1", "1.1"]
    assert found.outputs == () and found.calls[3].outputs[0].shape == (2, 4, 6, 6)  # type: ignore[index]


class Asks(nn.Module):
    def forward(self, input: Tensor) -> Tensor:
        return input * 2 if input.sum() > 0 else input


def test_what_depends_on_numbers_fails() -> None:
    assert trace(Asks(), [picture()]).failure is not None


def test_live_memory_is_that_of_inference() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    found = trace(model, [picture()])
    maps, last = 2 * 4 * 6 * 6 * 4, 2 * 2 * 4 * 4 * 4
    assert found.live == [maps, 2 * maps, maps + last]
    assert found.live == trace(model, [picture()], run="inference").live
    assert [memory.dead for memory in (operation.outputs[0].memory for operation in found.operations)] == [2, 3, 3]
    assert found.held == 0 and not trace(model, [picture()], run="inference").saved


def test_training_keeps_memory_until_the_backward_pass_has_read_it() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    found = trace(model, [picture()], run="training")
    assert found.backward == names(found).index("aten.empty_like") == 3
    moments = {name: place for place, name in enumerate(names(found)) if name.endswith("_backward")}
    assert list(moments) == ["aten.convolution_backward", "aten.threshold_backward"]
    maps, last = 2 * 4 * 6 * 6 * 4, 2 * 2 * 4 * 4 * 4
    weights = [(3 * 4 * 9 + 4) * 4, (4 * 2 * 9 + 2) * 4]
    # What ReLU keeps and the output stay; at its gradient come those of two maps, that of the output may go.
    assert found.live[:4] == [maps, 2 * maps, maps + last, maps + 2 * last]
    assert max(found.live) == found.live[moments["aten.threshold_backward"]] == 3 * maps + 2 * last + weights[1]
    assert found.live[-1] == 2 * last + sum(weights)


class Counted(nn.Module):
    """Sets an attribute, fills lists and dictionaries, and holds a tensor from one call to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.seen: list[Tensor] = []
        self.by_name: dict[str, list[Tensor]] = {"maps": []}
        self.state = torch.zeros(1)

    def forward(self, input: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(input)
        self.by_name["maps"].append(input)
        self.state.add_(1)
        return input + self.state


def test_what_a_forward_writes_down_stays_in_the_copy() -> None:
    model = Counted()
    found = trace(model, [picture()])
    assert found.failure is None
    assert (model.calls, model.seen, model.by_name, float(model.state)) == (0, [], {"maps": []}, 0)


@pytest.mark.parametrize("around", [torch.inference_mode, torch.no_grad], ids=["inference", "no_grad"])
def test_it_does_not_matter_what_is_around(around: Callable[[], torch.no_grad]) -> None:
    model = small()
    alone = trace(model, [picture()])
    with around():
        found = trace(model, [picture()])
    assert names(found) == names(alone) and found.live == alone.live
    assert [saved.memory.nbytes for saved in found.saved] == [saved.memory.nbytes for saved in alone.saved]


def test_settings_are_given_to_the_forward() -> None:
    found = trace(nn.MultiheadAttention(4, 2), [torch.randn(3, 2, 4)] * 3, {"need_weights": False})
    assert len(found.outputs) == 1
    assert len(trace(nn.MultiheadAttention(4, 2), [torch.randn(3, 2, 4)] * 3).outputs) == 2


def test_channels_last_stays_channels_last() -> None:
    input = picture().to(memory_format=torch.channels_last)
    found = trace(small(), [input])
    assert found.given[0].stride() == input.stride()


OUTSIDE = nn.Linear(2, 2)


class ReadsOutside(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return OUTSIDE(x).sum()


def test_weights_outside_of_the_network_keep_their_gradients() -> None:
    OUTSIDE(torch.ones(1, 2)).sum().backward()
    before = OUTSIDE.weight.grad
    assert trace(ReadsOutside(), [torch.empty(3, 2)], run="training").failure is None
    assert OUTSIDE.weight.grad is before and OUTSIDE.bias.grad is not None
    assert type(OUTSIDE.bias.grad) is Tensor


class Slope(nn.Module):
    """A network that asks for a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self.layer(x).square().sum(), x, create_graph=True)[0]


def test_a_forward_that_runs_backward() -> None:
    found = trace(Slope(), [torch.empty(3, 2)])
    assert found.failure is None and [value.shape for value in found.outputs] == [(3, 2)]


def test_layers_under_vmap() -> None:
    layer = nn.Linear(2, 4)
    found = trace(nn.Sequential(Mapped(layer)), [torch.empty(3, 2)])
    assert found.failure is None and found.outputs[0].shape == (3, 4)
    assert [call.kind for call in found.calls] == ["Sequential", "Mapped", "Linear"]


class Mapped(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.vmap(self.layer)(x)


@dataclass
class Pair:
    first: Tensor
    second: Tensor | None = None


class Named(nn.Module):
    """A network that calls by name, and gives an object."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 4)

    def forward(self, x: Tensor) -> Pair:
        return Pair(self.layer(input=x))


def test_inputs_by_name_and_outputs_in_objects() -> None:
    found = trace(Named(), [torch.empty(3, 2)], run="training")
    assert [value.shape for value in found.calls[1].inputs] == [(3, 2)]
    assert [value.shape for value in found.outputs] == [(3, 4)]
    assert found.backward is not None and len(found.operations) > found.backward


class Table(nn.Module):
    """A network with a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = [torch.ones(1000)]

    def forward(self, x: Tensor) -> Tensor:
        return x * self.table[0].sum()


def test_tensors_that_a_network_holds_were_there_before() -> None:
    found = trace(Table(), [torch.empty(2)])
    assert max(found.live) == 12 and "table.0" not in found.parameters


class Stops(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise SystemExit(3)


def test_a_network_that_ends_the_program_fails() -> None:
    assert isinstance(trace(Stops(), [torch.empty(2)]).failure, SystemExit)


def test_runs_in_threads_leave_the_process_as_it_was() -> None:
    filters, model = list(warnings.filters), nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: len(trace(model, [torch.empty(3, 2)]).operations), range(24)))
    assert len(set(found)) == 1
    assert warnings.filters == filters and gc.isenabled()
    assert not logging.getLogger("torch._subclasses.fake_tensor").disabled
