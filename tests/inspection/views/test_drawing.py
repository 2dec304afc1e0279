"""A network as a picture."""

import re
from xml.etree import ElementTree

import pytest
import torch
from tests.inspection.networks import HOSTILE, Ladder, altered, chain, deep, hostile
from torch import Tensor, nn

from striate.inspection.inspection import InspectionError, inspect
from striate.inspection.views.drawing import render
from striate.inspection.views.shapes import escaped, text_width

SVG = "{http://www.w3.org/2000/svg}"
NETWORKS = (
    "vgg16",
    "mobilenet_v1",
    "inception_v3",
    "resnet152",
    "googlenet",
    "unet",
    "lenet5",
    "r3d_18",
    "resnet1d18",
    "mlp",
    "deepface",
)


def parsed(svg: str) -> ElementTree.Element:
    """The picture, which must load nothing and run nothing."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    for element in root.iter():
        assert element.tag.removeprefix(SVG) not in ("script", "image", "foreignObject", "a", "use")
        assert not any("href" in name or name.startswith("on") for name in element.attrib)
    return root


def words(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def spans(root: ElementTree.Element) -> list[tuple[float, float, float, str]]:
    """Of each text: left and right end, height, words."""
    found = []
    for element in root.iter(f"{SVG}text"):
        size = float(re.search(r"font-size:([\d.]+)px", element.attrib["style"])[1])  # type: ignore[index]
        wide = 0.9 * text_width(element.text or "", size)
        x = float(element.attrib["x"]) - (wide / 2 if element.attrib.get("text-anchor") == "middle" else 0)
        found.append((x, x + wide, float(element.attrib["y"]), element.text or ""))
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_texts_lie_inside_and_apart(name: str) -> None:
    root = parsed(inspect(name).to_svg())
    width, height = (float(side) for side in root.attrib["viewBox"].split()[2:])
    found = spans(root)
    for left, right, y, text in found:
        assert 0 <= left and right <= width, text
        assert 0 < y < height, text
    for number, (left, right, y, text) in enumerate(found):
        for other_left, other_right, other_y, other in found[number + 1 :]:
            apart = abs(y - other_y) >= 9 or right <= other_left or other_right <= left
            assert apart, (text, other)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_drawn_outside(name: str) -> None:
    root = parsed(inspect(name).to_svg())
    width = float(root.attrib["width"])
    starts = [float(x) for path in root.iter(f"{SVG}path") for x in re.findall(r"M(-?[\d.]+)", path.attrib["d"])]
    assert starts and min(starts) >= 0 and max(starts) <= width
    assert not re.search(r"nan|inf|e-?\d", " ".join(path.attrib["d"] for path in root.iter(f"{SVG}path")))


def test_heights_are_to_scale() -> None:
    root = parsed(inspect(chain(), (1, 3, 32, 32)).to_svg())
    fronts = {}
    for path in root.iter(f"{SVG}path"):
        kind = path.attrib.get("class", "").partition(" ")[0]
        front = re.fullmatch(r"M[\d.]+ [\d.]+h([\d.]+)v([\d.]+)h-[\d.]+z", path.attrib["d"])
        if front:
            fronts[kind] = (float(front[1]), float(front[2]))
    assert fronts["input"][1] / fronts["convolution"][1] == pytest.approx(32 / 14, rel=0.01)
    assert fronts["convolution"][1] / fronts["pooling"][1] == pytest.approx(2, rel=0.01)
    assert fronts["convolution"][0] == fronts["pooling"][0] > fronts["input"][0]


def test_fields_are_to_scale_and_where_the_middle_unit_sees() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 5, stride=2))
    found = inspect(network, (1, 1, 15, 15))
    root = parsed(render(found, layers=["0", "1"]))
    view = next(box for box in root.iter(f"{SVG}rect") if box.attrib.get("class") == "view")
    scale = float(view.attrib["width"]) / 15
    sizes, places = [], []
    for box in root.iter(f"{SVG}rect"):
        if box.attrib.get("class") == "field":
            sizes.append(float(box.attrib["width"]) / scale)
            places.append((float(box.attrib["x"]) - float(view.attrib["x"])) / scale)
    assert sizes == pytest.approx([7, 3], abs=0.02)
    # Unit 2 of 5 sees inputs 4 to 10, unit 6 of 13 sees 6 to 8.
    assert places == pytest.approx([4, 6], abs=0.02)
    assert {"7  1", "3  0"} <= set(words(root))


def test_a_field_beyond_the_input_is_cut_and_marked() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 9, padding=4), nn.Conv2d(1, 1, 9, padding=4))
    root = parsed(inspect(network, (1, 1, 8, 8)).to_svg())
    assert "17  1*" in words(root)
    view, field = (
        next(box for box in root.iter(f"{SVG}rect") if box.attrib.get("class") == name) for name in ("view", "field")
    )
    assert float(field.attrib["width"]) <= float(view.attrib["width"])


def test_layers_are_chosen_by_name() -> None:
    found = inspect(chain(), (1, 3, 32, 32))
    with pytest.raises(ValueError, match="no layer 'nothing'"):
        render(found, layers=["nothing"])
    with pytest.raises(ValueError, match="the units of '4' do not lie along the axes"):
        render(found, layers=["4"])


def test_runs_ways_past_and_what_is_left_out_are_told() -> None:
    many = " ".join(words(parsed(inspect(deep(30), (1, 3, 8, 8)).to_svg())))
    assert "Residual ×30" in many and "What lies in a block is left out." in many
    ladder = parsed(inspect(Ladder(), (1, 1, 8, 8)).to_svg())
    assert "A line over boxes leads to what reads a box" in " ".join(words(ladder))
    assert sum("q0-6 6-6" in path.attrib["d"] for path in ladder.iter(f"{SVG}path")) == 1


def test_dense_ways_past_are_not_all_drawn() -> None:
    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(1 + step, 1, 3, padding=1) for step in range(8))

        def forward(self, maps: Tensor) -> Tensor:
            for layer in self.layers:
                maps = torch.cat([maps, layer(maps)], 1)
            return maps

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(1, step + 1, 1) for step in range(20))

        def forward(self, maps: Tensor) -> Tensor:
            return torch.cat([layer(maps) for layer in self.layers], 1)

    assert parsed(inspect(Dense(), (1, 1, 8, 8)).to_svg()) is not None
    text = " ".join(words(parsed(inspect(Wide(), (1, 1, 8, 8)).to_svg())))
    assert re.search(r"\d+ more such lines are left out", text)


def test_names_cannot_leave_their_place() -> None:
    root = parsed(inspect(hostile(), (1, 1, 8, 8)).to_svg())
    assert len(list(root.iter(f"{SVG}style"))) == 1
    assert parsed(
        altered(chain(), (1, 3, 32, 32), name=HOSTILE) and render(altered(chain(), (1, 3, 32, 32), name=HOSTILE))
    )


def test_xml_has_no_control_characters() -> None:
    assert escaped("a\x00\x1b<b>\ud800&") == "a\ufffd\ufffd&lt;b&gt;\ufffd&amp;"


def test_unusual_sizes() -> None:
    class Mean(nn.Module):
        def forward(self, numbers: Tensor) -> Tensor:
            return numbers.mean()

    class Nothing(nn.Module):
        def forward(self, numbers: Tensor) -> Tensor:
            return numbers

    for model, size in (
        (Mean(), (2, 3, 4)),
        (Nothing(), (1, 3, 8, 8)),
        (nn.Conv2d(1, 1, 1), (1, 1, 1, 400)),
        (nn.Conv3d(1, 2, 1), (1, 1, 90, 3, 3)),
        (nn.Linear(4, 2), (4,)),
        (nn.Linear(4, 2), (2, 3, 4)),
    ):
        root = parsed(inspect(model, size).to_svg())
        assert "input" in " ".join(words(root))


def test_a_failure_is_told() -> None:
    with pytest.raises(InspectionError) as caught:
        inspect(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(5, 6)), (1, 3, 8, 8))
    assert "The network fails behind the last box." in " ".join(words(parsed(render(caught.value.inspection))))


def test_light_and_dark() -> None:
    svg = inspect("lenet5").to_svg()
    assert "@media (prefers-color-scheme:dark)" in svg
    style = parsed(svg).find(f"{SVG}style")
    assert style is not None and style.text is not None
    assert style.text.count("{") == style.text.count("}")
    for rule in re.findall(r"([^{}]+)\{", style.text):
        assert rule.startswith((".striate-picture ", "@media"))
