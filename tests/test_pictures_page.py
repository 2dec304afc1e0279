"""The page of pictures says what runs say, and shows every picture that it has."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pictures_page import contrast, drawing, inputs, kernels, page, pooling, shifts
from pictures_page.drawing import GREY, POSITIVE, SIGNED, Panel, draw
from pictures_page.section import Section

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Section]]:
    """Some of the sections, written into a folder where something else lies."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "old.png").touch()
    sections = (contrast.contrast, pooling.pyramid, shifts.invariance, shifts.equivariance)
    return folder, {section.title: section for section in page.write(folder, sections)}


def test_the_folder_holds_what_the_page_shows(made: tuple[Path, dict[str, Section]]) -> None:
    folder, sections = made
    text = (folder / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^]]+\]\((\w+)\.png\)", text)
    assert sorted(shown) == sorted(file.stem for file in folder.glob("*.png"))
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(sections)
    assert max(map(len, (line for line in text.splitlines() if not line.startswith(("|", "!"))))) <= 120


def test_a_run_draws_the_same_bytes(made: tuple[Path, dict[str, Section]]) -> None:
    assert pooling.pyramid() == made[1]["Spatial pyramid"]


def test_equivariance_is_exact_with_circular_padding_and_broken_at_the_border_with_zeros(
    made: tuple[Path, dict[str, Section]],
) -> None:
    numbers = made[1]["Shifts and convolution: equivariance"].numbers
    assert numbers["circular"] <= 1e-14 * numbers["largest value"]
    assert numbers["zeros"] > 0.1 * numbers["largest value"]
    assert numbers["away from the border"] <= 1e-14 * numbers["largest value"]
    # Four rows and four columns at the edge, and as many where the shift has taken it.
    height, width = inputs.tower().shape[2:]
    assert numbers["places that differ"] == pytest.approx(1 - (1 - 8 / height) * (1 - 8 / width), rel=0.1)
    assert numbers["stride 2, shift 2"] <= 1e-14 * numbers["largest value"]
    assert numbers["stride 2, shift 1"] > 0.05


def test_pooling_takes_away_what_a_shift_changes(made: tuple[Path, dict[str, Section]]) -> None:
    numbers = made[1]["Shifts and pooling: invariance"].numbers
    for kind in ("max", "average"):
        for shift in shifts.SHIFTS:
            changes = [numbers[f"{kind} {pool}, shift {shift}"] for pool in shifts.POOLS]
            assert changes == sorted(changes, reverse=True)
    assert numbers["map"] > numbers["pool 2"] > numbers["pool 4"] > 0


def test_contrast_normalisation_undoes_brightness_and_contrast(made: tuple[Path, dict[str, Section]]) -> None:
    numbers = made[1]["Contrast normalisation"].numbers
    assert numbers["largest difference"] <= 1e-12
    assert numbers["constant"] <= 1e-12
    assert numbers["shadow after"] < 0.5 * numbers["shadow before"]


def test_the_page_of_the_project_is_whole() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"\((\w+)\.png\)", text)
    assert sorted(shown) == sorted(file.stem for file in FOLDER.glob("*.png"))
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(page.SECTIONS)
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 1.5e6
    assert "/work" not in text and "/tmp" not in text and "/home" not in text


def test_the_page_of_the_project_says_what_a_run_says(made: tuple[Path, dict[str, Section]]) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    section = made[1]["Shifts and pooling: invariance"].markdown()
    assert section in text
    assert kernels.rectification().markdown() in text


class TestDrawing:
    def test_panels_of_all_kinds(self) -> None:
        values = torch.linspace(-1, 2, 12).view(3, 4)
        rows = [[Panel("grey", values, 0, 1), None], [Panel("two\nlines", values, colours=SIGNED, numbered=True)]]
        picture = Image.open(BytesIO(draw(rows)))
        assert picture.mode == "P"
        assert picture.size[0] == 506
        assert np.asarray(picture.convert("RGB"))[0, 0].tolist() == [255, 255, 255]

    def test_maps_have_their_own_colours(self) -> None:
        """The ends of all three scales."""
        from matplotlib import colormaps

        ends = torch.tensor([[-1.0, 1.0]])
        for colours in (GREY, POSITIVE, SIGNED):
            drawn = np.asarray(Image.open(BytesIO(draw([[Panel("", ends, colours=colours)]]))).convert("RGB"))
            found = set(map(tuple, drawn.reshape(-1, 3).tolist()))
            assert {tuple(round(255 * part) for part in colormaps[colours](end)[:3]) for end in (0.0, 1.0)} <= found

    def test_a_constant_map(self) -> None:
        for colours in (GREY, POSITIVE, SIGNED):
            assert draw([[Panel("0", torch.zeros(2, 2), colours=colours)]])[1:4] == b"PNG"

    def test_the_palette_is_full(self) -> None:
        assert drawing._palette().shape == (256, 3)


def test_text_is_filled() -> None:
    text = "\n" + "word\n" * 40 + "\n- one\n  two\n- three\n\n| a |\n| - |\n\n{picture}"
    lines = Section("Title", text, {"picture": b""}, {}).markdown().splitlines()
    assert lines[0] == "## Title"
    assert max(map(len, lines)) <= 120
    assert lines[-7:] == ["- one two", "- three", "", "| a |", "| - |", "", "![Title](picture.png)"]
