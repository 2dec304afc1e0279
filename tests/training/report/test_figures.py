import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from striate.training.report.curves import panels
from striate.training.report.figures import confusion_png, curves_png, drawable, filters_png, mistakes_png

AWKWARD = ["$\\nope_1$", "a_b^{", "猫", "a\nb", "<b>", "\udc80", "", "x" * 300]


def opened(content):
    image = Image.open(BytesIO(content)).convert("RGB")
    assert max(image.size) <= 6000
    return image


def test_curves_use_the_colours_of_their_parts():
    epochs = [{"epoch": n, "train_loss": 1 / n, "val_loss": float("nan") if n == 2 else 2 / n} for n in (1, 2, 3, 4)]
    image = opened(curves_png(panels(epochs), 3))
    colours = {colour for _, colour in image.getcolors(1 << 24)}
    assert {(180, 83, 9), (29, 95, 191)} <= colours and image.width > image.height


@pytest.mark.parametrize("classes", [1, 2, 8, 30, 31, 300])
def test_confusion_matrices_of_every_size(classes):
    names = [AWKWARD[index % len(AWKWARD)] for index in range(classes)]
    image = opened(confusion_png(np.eye(classes, dtype=np.int64), names))
    assert min(image.size) >= 400


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (6, 6, 1), (7, 6, 2), (24, 6, 4)])
def test_the_contact_sheet_has_six_columns(count, columns, rows):
    pictures = [np.full((1 + index, 3, 1 + 2 * (index % 2)), 200, np.uint8) for index in range(count)]
    image = opened(mistakes_png(pictures, [AWKWARD[index % len(AWKWARD)] for index in range(count)]))
    assert image.size == pytest.approx((columns * 1.7 * 144, rows * 2.25 * 144), abs=1)


@pytest.mark.parametrize("shape", [(8, 8, 4), (4, 1500, 4), (2234, 64, 4)])
def test_filters_keep_their_shape(shape):
    assert min(opened(filters_png(np.full(shape, 99, np.uint8), "6 filters of 5 × 5. " * 20)).size) > 100


@pytest.mark.parametrize(
    ("text", "shown"),
    [("naïve", "naïve"), ("猫", "\\u732b"), ("a\nb", "a\\nb"), ("\udc80", "\\udc80"), ("x" * 40, "x" * 27 + "…")],
)
def test_what_the_font_lacks_becomes_a_code(text, shown):
    assert drawable(text) == shown


def test_figures_leave_pyplot_alone():
    code = (
        "import sys, numpy as np\n"
        "from striate.training.report.figures import confusion_png\n"
        "assert 'matplotlib' not in sys.modules\n"
        "confusion_png(np.eye(2, dtype=np.int64), ['a', 'b'])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
