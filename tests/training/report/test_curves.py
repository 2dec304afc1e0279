import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from math import inf, nan

import pytest

from striate.training.report.curves import describe, panels, svg


def rows(**columns):
    count = len(next(iter(columns.values())))
    return [{"epoch": n + 1} | {name: values[n] for name, values in columns.items()} for n in range(count)]


def numbers(element, *names):
    return [float(element.get(name)) for name in names]


def test_values_that_are_missing_or_not_finite_are_gaps():
    epochs = rows(train_loss=[3.0, nan, 2.0, 1.5, inf, 1.0])
    del epochs[2]["train_loss"]
    (panel,) = panels([*epochs, {"epoch": 7, "train_loss": None}])
    assert panel.curves[0].strokes == (((1, 3.0),), ((4, 1.5),), ((6, 1.0),))


def test_only_what_is_there_is_planned():
    assert panels([]) == []
    assert panels(rows(train_loss=[nan], lr=[0.1])) == []
    loss, accuracy = panels(rows(train_loss=[1.0], val_accuracy=[0.5]))
    assert [curve.part for curve in loss.curves] == ["train"]
    assert [curve.part for curve in accuracy.curves] == ["validation"]
    assert accuracy.curves[0].points == [(1, 50.0)]


@pytest.mark.parametrize(
    ("losses", "logarithmic"), [([2.0, 0.1], True), ([2.0, 0.5], False), ([2.0, 0.0], False), ([2.0, -50.0], False)]
)
def test_loss_is_logarithmic_where_it_spans_decades(losses, logarithmic):
    assert panels(rows(val_loss=losses))[0].logarithmic is logarithmic


def test_accuracy_leaves_the_start_below_the_axis():
    (panel,) = panels(rows(train_accuracy=[0.1, 0.2] + [0.95] * 17 + [0.99]))
    low, high = panel.limits
    assert 20 == panel.curves[0].points[1][1] > 10 and 15 < low < 20 and 99 < high < 105


@pytest.mark.parametrize("losses", [[1.0], [0.0, 0.0], [5e-324, 1e-300], [1e-9, 1e9], [1e300, 2.0], [-3.0, -3.0]])
def test_axes_hold_their_curves_and_ticks(losses):
    (panel,) = panels(rows(train_loss=losses))
    low, high = panel.limits
    assert low < high and panel.span[0] < panel.span[1]
    assert all(low <= loss <= high for loss in losses)
    assert all(low <= tick <= high for tick in panel.ticks)
    assert all(tick == int(tick) for tick in panel.epoch_ticks)


def test_the_svg_draws_each_value_where_the_axis_says():
    (panel,) = panels(rows(val_loss=[8.0, 4.0, 2.0, 1.0, 0.5]))
    root = ElementTree.fromstring(svg(panel, 4))
    polyline = root.find(".//polyline[@class='validation']")
    places = [tuple(map(float, pair.split(","))) for pair in polyline.get("points").split()]
    width = places[-1][0]
    assert [x for x, _ in places] == pytest.approx([0, width / 4, width / 2, width * 3 / 4, width], abs=0.1)
    steps = [b - a for (_, a), (_, b) in pairwise(places)]
    assert panel.logarithmic and steps == pytest.approx([steps[0]] * 4, abs=0.15) and steps[0] > 0
    best, circle = root.find(".//line[@class='best']"), root.find(".//circle[@class='validation']")
    assert numbers(best, "x1", "x2") == [places[3][0]] * 2
    assert numbers(circle, "cx", "cy") == list(places[3])
    assert [text.text for text in root.iter("text")].count("best: 4") == 1
    assert "epoch 3: validation 2" in [title.text for title in root.iter("title")]


def test_a_single_epoch_is_a_dot_and_a_missing_best_epoch_no_line():
    (panel,) = panels(rows(train_accuracy=[0.5]))
    for best in (None, 9):
        root = ElementTree.fromstring(svg(panel, best))
        assert len(root.findall(".//circle")) == 1 and root.find(".//line[@class='best']") is None


def test_many_epochs_have_no_hover_bands():
    (panel,) = panels(rows(train_loss=[1.0] * 2000))
    assert "<rect" not in svg(panel, None) and len(svg(panel, None)) < 40_000


def test_the_description_gives_start_and_end():
    text = describe(panels(rows(train_accuracy=[0.25, 0.5], val_accuracy=[0.2, nan]))[0])
    assert text == (
        "Accuracy, % by epoch: train from 25 at epoch 1 to 50 at epoch 2; "
        "validation from 20 at epoch 1 to 20 at epoch 1."
    )
