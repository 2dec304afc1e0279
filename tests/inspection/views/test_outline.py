"""What a picture shows of a network."""

from dataclasses import replace

import pytest
import torch
from tests.inspection.networks import Ladder, Residual, altered, chain, deep
from torch import Tensor, nn

from striate.inspection.inspection import inspect
from striate.inspection.views.outline import Station, kind_of, outline


def shown(stations: list[Station]) -> list[tuple[str, tuple[int, ...], list[int]]]:
    return [(station.operator, station.size, sorted(station.sources)) for station in stations]


def test_what_changes_no_size_belongs_to_the_layer_before_it() -> None:
    found = outline(inspect(chain(), (1, 3, 32, 32)))
    assert shown(found) == [
        ("input", (3, 32, 32), []),
        ("Conv2d", (8, 14, 14), [0]),
        ("MaxPool2d", (8, 7, 7), [1]),
        ("Linear", (10,), [2]),
    ]
    assert [station.kind for station in found] == ["input", "convolution", "pooling", "connected"]
    assert [len(station.places) for station in found] == [0, 2, 2, 1]


def test_a_way_past_a_layer_is_drawn() -> None:
    assert shown(outline(inspect(Ladder(), (1, 1, 8, 8)))) == [
        ("input", (1, 8, 8), []),
        ("Conv2d", (4, 8, 8), [0]),
        ("Conv2d", (8, 4, 4), [1]),
        ("ConvTranspose2d", (4, 8, 8), [2]),
        ("cat", (8, 8, 8), [1, 3]),
        ("Conv2d", (2, 8, 8), [4]),
    ]


def test_a_block_with_branches_is_one_box() -> None:
    found = outline(inspect(deep(5), (1, 3, 8, 8)))
    assert [(station.kind, station.size) for station in found[2:7]] == [("block", (8, 6, 6))] * 5
    assert [sorted(station.sources) for station in found[1:]] == [[place] for place in range(7)]


def test_a_network_in_a_network_is_looked_into() -> None:
    found = outline(inspect(nn.Sequential(Residual(3)), (1, 3, 8, 8)))
    assert [station.operator for station in found] == ["input", "Conv2d", "Conv2d", "add"]
    assert sorted(found[3].sources) == [0, 2]


def test_many_alike_are_one() -> None:
    found = outline(inspect(deep(30), (1, 3, 8, 8)))
    assert [(station.operator, station.times) for station in found] == [
        ("input", 1),
        ("Conv2d", 1),
        ("Residual", 30),
        ("AdaptiveAvgPool2d", 1),
    ]
    assert [sorted(station.sources) for station in found] == [[], [0], [1], [2]]


def test_what_comes_in_turn_is_a_group() -> None:
    pair = [nn.Conv2d(4, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1), nn.ReLU()]
    found = outline(
        inspect(nn.Sequential(nn.Conv2d(1, 4, 3), *(pair * 15), nn.Flatten(), nn.Linear(144, 2)), (1, 1, 8, 8))
    )
    assert [(station.operator, station.size[0], station.rounds) for station in found] == [
        ("input", 1, 1),
        ("Conv2d", 4, 1),
        ("Conv2d", 8, 15),
        ("Conv2d", 4, 15),
        ("Linear", 2, 1),
    ]
    assert {station.group for station in found} == {None, 0}


def test_more_than_can_be_drawn_is_put_together_by_size() -> None:
    channels = [1, *range(2, 72)]
    layers = [nn.Conv2d(a, b, 1) for a, b in zip(channels, channels[1:], strict=False)]
    found = outline(inspect(nn.Sequential(*layers, nn.MaxPool2d(2)), (1, 1, 4, 4)))
    assert [(station.operator, station.size) for station in found] == [
        ("input", (1, 4, 4)),
        ("70 layers", (71, 4, 4)),
        ("MaxPool2d", (71, 2, 2)),
    ]


def test_every_reading_is_of_what_ran_before() -> None:
    for name in ("googlenet", "unet", "mobilenet_v2", "r2plus1d_18", "dilated_context", "resnet1d18", "resnet152"):
        found = outline(inspect(name))
        assert 4 < len(found) <= 60
        for place, station in enumerate(found):
            assert all(source < place for source in station.sources)
            assert station.sources or station.kind == "input"


def test_the_u_is_joined_four_times() -> None:
    found = outline(inspect("unet"))
    merges = [station for station in found if station.kind == "merge"]
    assert [len(station.sources) for station in merges] == [2] * 4
    assert [found[min(station.sources)].size[-1] for station in merges] == [64, 128, 256, 512]


def test_blocks_of_one_class_are_shown_alike() -> None:
    operators = [station.operator for station in outline(inspect("mobilenet_v2"))]
    assert operators.count("Conv2d") == 2
    assert "InvertedResidual" in operators


def test_writing_in_place_is_followed() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1)
            self.last = nn.Conv2d(2, 3, 1)

        def forward(self, maps: Tensor) -> Tensor:
            made = self.one(maps)
            made[:, :1] += self.two(maps)[:, :1]
            return self.last(torch.relu_(made))

    found = outline(inspect(Writes(), (1, 1, 4, 4)))
    read = {station.name: {found[source].name for source in station.sources} for station in found}
    assert read["two"] == {""}
    assert "one" in read["last"] or any("one" in read[name] for name in read["last"])


def test_kinds() -> None:
    layer = inspect(chain(), (1, 3, 32, 32)).layers[0]
    for operator, kind in (
        ("Conv2d", "convolution"),
        ("conv_transpose2d", "transposed"),
        ("Upsample", "transposed"),
        ("max_pool2d", "pooling"),
        ("Linear", "connected"),
        ("DeformConv2d", "convolution"),
        ("LSTM", "other"),
    ):
        assert kind_of(replace(layer, operator=operator)) == kind


def test_an_inspection_that_does_not_fit_its_trace() -> None:
    broken = altered(chain(), (1, 3, 32, 32), tree=inspect("lenet5").tree)
    with pytest.raises(ValueError, match="the trace has 6 layers, the inspection 15"):
        outline(broken)
