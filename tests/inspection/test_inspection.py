"""Inspections: what `striate.inspect` takes, gives and refuses."""

import json
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import striate
from striate.inspection import Inspection, InspectionError, inspect, register_rule
from striate.nn import ConvTranspose2d, LocalConvTranspose2d


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(3, 2, 1)

    def forward(self, left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
        return self.left(left) + scale * self.right(right)


class Depends(nn.Module):
    """Takes a path that depends on numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Linear(4, 2), nn.Linear(4, 3)

    def forward(self, input: Tensor) -> Tensor:
        return self.near(input) if input.sum() < 1 else self.far(input)


def state(model: nn.Module) -> list[Any]:
    """All that an inspection could touch."""
    return [
        {name: (tensor.clone(), tensor.device) for name, tensor in model.state_dict().items()},
        [module.training for module in model.modules()],
        [parameter.grad for parameter in model.parameters()],
        [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()],
        [sorted(vars(module)) for module in model.modules()],
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state()[1],
    ]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, (Tensor, np.ndarray)):
        return bool((one == other).all())
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


class TestValues:
    def test_a_network_by_its_name(self) -> None:
        inspection = inspect("vgg16")
        assert inspection.input_sizes == ((1, 3, 224, 224),)
        totals = inspection.totals
        assert (totals.parameters.value, totals.macs.value) == (138_357_544, 15_470_264_320)
        assert totals.flops.value == 2 * 15_470_264_320
        assert {total.state for total in (totals.parameters, totals.macs, totals.saved_for_backward_bytes)} == {
            "complete"
        }
        last = inspection.layer("features.30")
        assert (last.output_size, last.receptive_field, last.jump) == ((1, 512, 7, 7), (212, 212), (32, 32))
        assert inspection.layer("features.0").window == "3×3, padding 1"

    def test_the_batch_multiplies_costs_and_not_weights(self) -> None:
        one, eight = inspect("lenet5"), inspect("lenet5", (8, 1, 28, 28))
        assert eight.totals.parameters == one.totals.parameters
        assert eight.totals.macs.value == 8 * (one.totals.macs.value or 0)
        assert eight.layer("c1").output_size == (8, 6, 28, 28)

    @pytest.mark.parametrize("name", ["lenet5", "googlenet", "mobilenet_v2", "resnet18_deform", "unet", "deepface"])
    def test_layers_add_up_to_the_totals(self, name: str) -> None:
        inspection = inspect(name)
        assert sum(layer.parameters for layer in inspection.layers) == inspection.totals.parameters.value
        assert sum(layer.macs or 0 for layer in inspection.layers) == inspection.totals.macs.value
        assert inspection.tree[0].parameters == inspection.totals.parameters.value
        assert inspection.tree[0].saved_bytes == inspection.totals.saved_for_backward_bytes.value
        by_operator = inspection.by_operator()
        assert sum(total.macs or 0 for total in by_operator) == inspection.totals.macs.value
        assert sum(total.calls for total in by_operator) == sum(layer.called for layer in inspection.layers)

    def test_several_inputs_and_settings(self) -> None:
        inspection = inspect(TwoInputs(), [(2, 1, 8, 8), (2, 3, 8, 8)], settings={"scale": 2.0})
        assert inspection.input_sizes == ((2, 1, 8, 8), (2, 3, 8, 8))
        assert [layer.name for layer in inspection.layers] == ["left", "right", "mul", "add"]

    def test_tensors_in_place_of_sizes(self) -> None:
        words = nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 2))
        inspection = inspect(words, inputs=[torch.zeros(3, 5, dtype=torch.int64)])
        assert inspection.layer("1").output_size == (3, 5, 2)
        assert inspection.totals.macs.value == 3 * 5 * 8 * 2

    def test_the_rules_of_others(self) -> None:
        model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU())
        ours, theirs = (inspect(model, (1, 3, 8, 8), count_like=like).totals for like in (None, "torch"))
        assert ours.macs.value == theirs.macs.value == 6 * 6 * 8 * 27

    def test_the_field_of_a_unit(self) -> None:
        box = inspect("lenet5").field_of("c1", (0, 27))
        assert (box.first, box.last) == ((0, 25), (2, 27))


class TestForms:
    def test_json_holds_what_it_promises(self) -> None:
        model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU())
        found = json.loads(inspect(model, (2, 3, 32, 32)).to_json())
        assert found["schema"] == 1
        assert {"schema", "name", "input_sizes", "totals", "layers", "findings", "memory"} == found.keys()
        totals = found["totals"]
        for total in (
            "parameters",
            "trainable_parameters",
            "macs",
            "flops",
            "saved_for_backward_bytes",
            "peak_forward_bytes",
        ):
            assert totals[total].keys() == {"value", "state", "missing"}
            assert totals[total]["state"] == "complete"
        layer = found["layers"][0]
        assert (layer["name"], layer["operator"], layer["parameters"]) == ("0", "Conv2d", 224)
        assert (layer["input_size"], layer["output_size"]) == ([2, 3, 32, 32], [2, 8, 15, 15])
        assert (layer["receptive_field"], layer["jump"]) == ([3, 3], [2, 2])
        assert layer["unread"] == [{"axis": axis, "low": 0, "high": 1, "gaps": 0} for axis in (0, 1)]
        assert found["findings"][0]["kind"] == "unread"

    def test_half_a_jump_is_a_decimal(self) -> None:
        inspection = inspect(nn.Sequential(nn.ConvTranspose2d(1, 1, 2, stride=2)), (1, 1, 4, 4))
        assert inspection.to_dict()["layers"][0]["jump"] == [0.5, 0.5]

    @pytest.mark.parametrize("view", ["tree", "flat", "operator"])
    def test_text_fits_in_80_columns(self, view: Any) -> None:
        lines = inspect("resnet18").to_text(view).splitlines()
        assert max(map(len, lines)) <= 80

    def test_the_text_is_what_is_printed(self) -> None:
        inspection = inspect("lenet5")
        assert str(inspection) == inspection.to_text()
        assert "60,806" in str(inspection)


class TestNothingIsTouched:
    @pytest.mark.parametrize("training", [True, False])
    def test_the_network_and_the_random_states(self, training: bool) -> None:
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten(), nn.Linear(144, 2)
        ).train(training)
        seen: list[object] = []
        model[0].register_forward_hook(lambda *given: seen.append(given))
        before = state(model)
        inspection = inspect(model, (2, 1, 8, 8))
        str(inspection), inspection.to_json()
        assert same(before, state(model))
        assert seen == []
        assert [finding.layer for finding in inspection.findings if finding.kind == "hooks"] == ["0"]

    def test_a_real_run_neither(self) -> None:
        model = Depends()
        before = state(model)
        inspect(model, (1, 4), run=True)
        assert same(before, state(model))

    def test_a_forward_that_remembers_forgets(self) -> None:
        class Remembers(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.count, self.seen = 0, list[Tensor]()

            def forward(self, input: Tensor) -> Tensor:
                self.count += 1
                self.seen.append(input)
                return 2 * input

        model = Remembers()
        inspect(model, (1, 2))
        assert (model.count, model.seen) == (0, [])


class TestStates:
    def test_what_cannot_be_counted_makes_a_lower_bound(self) -> None:
        class Sorts(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.linear = nn.Linear(4, 4)

            def forward(self, input: Tensor) -> Tensor:
                return torch.cdist(self.linear(input), input)

        inspection = inspect(Sorts(), (2, 4))
        macs = inspection.totals.macs
        assert (macs.state, macs.value) == ("lower bound", 2 * 4 * 4)
        assert len(macs.missing) == 1
        assert "uncounted" in [finding.kind for finding in inspection.findings]
        with pytest.raises(ValueError, match=f"could not count {macs.missing[0]}: give a rule with register_rule"):
            inspect(Sorts(), (2, 4), strict=True)
        with register_rule(macs.missing[0], lambda operation: 16):
            assert inspect(Sorts(), (2, 4), strict=True).totals.macs.value == 2 * 4 * 4 + 16

    def test_frozen_weights_are_told_apart(self) -> None:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        model[0].requires_grad_(False)
        totals = inspect(model, (1, 4)).totals
        assert (totals.parameters.value, totals.trainable_parameters.value, totals.frozen_parameters.value) == (
            30,
            10,
            20,
        )


class TestErrors:
    def test_a_network_that_does_not_run_leaves_a_partial_table(self) -> None:
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(100, 10))
        with pytest.raises(InspectionError, match="100") as caught:
            inspect(model, (1, 3, 10, 10))
        partial = caught.value.inspection
        assert isinstance(partial, Inspection)
        assert [layer.name for layer in partial.layers if layer.output_size] == ["0", "1"]
        assert partial.failure is not None
        assert partial.failure.layer == "2"
        assert "in_features=512" in " ".join(partial.failure.fixes)
        assert partial.totals.macs.state == "lower bound"
        assert str(partial)

    @pytest.mark.parametrize(
        ("size", "error", "words"),
        [
            (None, ValueError, "input_size is missing: give the batch, the channels and the sizes"),
            (224, TypeError, "input_size must be a sequence of whole numbers, as .*, got 224"),
            ("3x224x224", TypeError, "input_size must be a sequence of whole numbers"),
            ((1, 3, 0, 8), ValueError, "input_size must hold whole numbers above 0"),
            ((1, 3, 8.0, 8), ValueError, "input_size must hold whole numbers above 0"),
            ((), TypeError, "input_size must be a sequence"),
            ((1, 3, 2**40, 2**40), ValueError, "an input of 1x3x1099511627776x1099511627776 is too large"),
        ],
        ids=["none", "one", "text", "zero", "float", "empty", "large"],
    )
    def test_sizes(self, size: Any, error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            inspect(nn.Conv2d(3, 8, 3), size)

    def test_sizes_and_tensors_at_once(self) -> None:
        with pytest.raises(ValueError, match="give input_size or inputs, not both"):
            inspect(nn.ReLU(), (1, 2), inputs=[torch.zeros(1, 2)])

    def test_something_else_than_a_network(self) -> None:
        with pytest.raises(TypeError, match="model must be a module or the name of one, got int"):
            inspect(3, (1, 2))  # type: ignore[arg-type]

    def test_a_name_that_does_not_exist(self) -> None:
        with pytest.raises(ValueError, match="resnet18"):
            inspect("resnet_18")

    def test_a_layer_that_does_not_exist(self) -> None:
        with pytest.raises(ValueError, match="there is no layer 'c11': did you mean c1"):
            inspect("lenet5").layer("c11")

    def test_a_path_that_depends_on_numbers(self) -> None:
        with pytest.raises(InspectionError, match="--run"):
            inspect(Depends(), (1, 4))
        assert inspect(Depends(), (1, 4), run=True).layer("near").output_size == (1, 2)

    def test_lazy_modules(self) -> None:
        with pytest.raises(ValueError, match="weight has no size yet: run the network once"):
            inspect(nn.LazyConv2d(4, 3), (1, 3, 8, 8))


def test_a_network_of_complex_numbers() -> None:
    inspection = inspect(nn.Linear(3, 2, dtype=torch.complex64), (1, 3))
    assert inspection.trace.inputs[0].dtype == torch.complex64


def test_what_was_compiled_is_read_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    assert inspect(torch.compile(model), (1, 3)).to_dict() == inspect(model, (1, 3)).to_dict()  # type: ignore[arg-type]


def test_anomalies_are_not_looked_for() -> None:
    with torch.autograd.set_detect_anomaly(True):
        assert inspect(nn.Linear(3, 2), (1, 3)).usage.peak_training_bytes.state == "complete"


class Profiled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        with torch.profiler.record_function("part"):
            return x + 1


def test_marks_for_the_profiler_cost_nothing() -> None:
    inspection = inspect(Profiled(), (1, 3))
    assert inspection.totals.macs.state == "complete" and inspection.findings == ()


def test_striate_inspect_is_this_function() -> None:
    assert striate.inspect is inspect


def test_windows_of_transposed_layers() -> None:
    local = LocalConvTranspose2d(4, 4, 3, (19, 19), stride=2)
    layers = [nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, groups=2), ConvTranspose2d(4, 4, 3), local]
    inspection = inspect(nn.Sequential(*layers), (1, 4, 9, 9))
    assert [layer.window for layer in inspection.layers] == [
        "3×3, stride 2, padding 1, groups 2",
        "3×3",
        "3×3, stride 2",
    ]
    assert [layer.unread for layer in inspection.layers] == [(), (), ()]
