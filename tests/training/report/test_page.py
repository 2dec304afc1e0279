import re
from html.parser import HTMLParser

import numpy as np
import pytest

from striate.training.report.page import page
from striate.training.report.scores import scores, wilson_interval, worst_mistakes

VOID, SELF_CLOSED = {"meta", "img", "br"}, {"line", "polyline", "circle"}


class Reader(HTMLParser):
    """Checks that tags nest, and collects what the page holds."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.texts, self.tables = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        assert tag in SELF_CLOSED
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def made(run, pictures=None):
    mistakes = worst_mistakes(run.labels, run.probabilities)
    shown = list(run.pictures(mistakes.tolist())) if len(mistakes) else []
    html = page(run, scores(run.labels, run.predicted, len(run.classes)), mistakes, shown)
    reader = Reader(html)
    plain = re.sub(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+", "data:image/", html)
    assert not re.search(r"https?:|//|@import|url\(|<script|<link", plain)
    assert all(image["alt"] and image["src"].startswith("data:image/") for image in reader.named("img"))
    assert all("scope" in header for header in reader.named("th"))
    anchors = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    assert {link["href"] for link in reader.named("a")} == {f"#{anchor}" for anchor in anchors}
    assert len(reader.named("h1")) == 1 and len(reader.named("h2")) == 8
    return reader


def test_the_headline_counts_the_evaluated_part(some_run):
    run = some_run(samples=77)
    wrong = sum(int(np.argmax(row)) != label for row, label in zip(run.probabilities, run.labels, strict=True))
    low, high = wilson_interval(77 - wrong, 77)
    text = made(run).text
    assert 0 < wrong < 77
    assert f"{100 * (77 - wrong) / 77:.2f} %Test accuracy" in text
    assert f"{wrong} of 77 wrong" in text and f"interval {100 * low:.1f} to {100 * high:.1f} %" in text
    assert "Training time3 min 12 s" in text and "best epoch, 3 of 3" in text
    assert "train 1,234 · validation 50 · test 77" in text and "28 × 20, grey" in text


def test_the_tables_hold_the_counts(some_run):
    run = some_run(samples=60)
    reader = made(run)
    confusion, by_class, layers = reader.tables[:3]
    count = np.zeros((3, 3), int)
    for label, claimed in zip(run.labels, run.probabilities.argmax(axis=1), strict=True):
        count[label, claimed] += 1
    assert [[int(cell or 0) for cell in row[1:]] for row in confusion[1:]] == count.tolist()
    assert confusion[0][1:] == [row[0] for row in confusion[1:]] == ["cat", "dog", "owl"]
    precision, recall = np.diag(count) / count.sum(axis=0), np.diag(count) / count.sum(axis=1)
    rows = zip(("cat", "dog", "owl"), precision, recall, count.sum(axis=1), strict=True)
    assert by_class[1:4] == [
        [name, f"{100 * p:.1f}", f"{100 * r:.1f}", f"{200 * p * r / (p + r):.1f}", str(n)] for name, p, r, n in rows
    ]
    assert by_class[4][::4] == ["Mean", "60"]
    assert layers[1:] == [
        ["0", "Conv2d", "6 × 24 × 16", "1,156"],
        ["1", "Flatten", "2304", "0"],
        ["Total", "", "", "1,156"],
    ]


def test_the_worst_mistakes_are_named_with_both_probabilities(some_run):
    probabilities = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.2, 0.3, 0.5]], np.float32)
    reader = made(some_run(samples=3, probabilities=probabilities, labels=np.array([1, 2, 2])))
    assert "dog → cat70.0 %true class 20.0 %test/0.png" in reader.text
    alts = [image["alt"] for image in reader.named("img")]
    assert alts[:2] == ["test/1.png: owl, taken for dog", "test/0.png: dog, taken for cat"]
    assert "2 of 3 samples are wrong; all of them" in reader.text


def test_at_most_24_mistakes_are_shown(some_run):
    run = some_run(samples=30, probabilities=np.eye(3, dtype=np.float32)[[0] * 30], labels=np.ones(30, np.int64))
    reader = made(run)
    assert len(reader.named("li")) == 24 + 1 and "30 of 30 samples are wrong; the first 24" in reader.text


def test_no_mistake_is_said_kindly(some_run):
    run = some_run(samples=2, probabilities=np.eye(3, dtype=np.float32)[:2], labels=np.arange(2))
    text = made(run).text
    assert "None: all 2 samples are classified correctly." in text
    assert "– : not defined" in text and "100.00 %" in text


def test_user_texts_cannot_break_out(some_run):
    evil = "<script>alert(1)</script>\"'&"
    run = some_run(
        classes=(evil, "b"), name=evil, model=evil, source=evil, part=evil, notes=[evil], counts={evil: 1},
        settings={evil: evil, "schedule": evil}, environment={evil: evil}, names=[evil] * 40,
    )  # fmt: skip
    reader = made(run)
    assert not reader.named("script")
    assert reader.text.count(evil) > 20
    assert any(image["alt"].startswith(f"{evil}: ") for image in reader.named("img"))


def test_nothing_is_loaded_and_nothing_runs(some_run):
    policy = [meta for meta in made(some_run()).named("meta") if "http-equiv" in meta]
    assert policy[0]["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_command_repeats_the_run(some_run):
    text = made(some_run()).text
    assert "striate train photos --model lenet5 --size 28x20 --epochs 3 --lr 0.1 --seed 0 --flipSettings" in text
    text = made(some_run(source="my photos", settings={"augment": None})).text
    assert "striate train 'my photos' --model lenet5 --size 28x20 --no-augmentSettings" in text
    assert "augment" in text and "rotation" not in text


def test_settings_are_written_for_people(some_run):
    settings = made(some_run(settings={"a": None, "b": True, "c": {"d": 1.5, "e": False}})).tables[3]
    assert settings[1:] == [["a", "–"], ["b", "yes"], ["c", "d 1.5, e no"]]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60.2, "1 min 0 s"), (3599.4, "59 min 59 s"), (7512, "2 h 05 min")],
)
def test_times_are_written_for_people(some_run, seconds, text):
    assert f"Training time{text}" in made(some_run(seconds=seconds)).text


def test_many_classes_are_a_heat_map_and_the_weakest_ten(some_run):
    run = some_run(samples=3000, classes=[f"class {n}" for n in range(200)])
    reader = made(run)
    count = scores(run.labels, run.predicted, 200)
    pairs, weakest, every = reader.tables[:3]
    assert len(pairs) == 21 and [int(row[2]) for row in pairs[1:]] == sorted(
        (int(row[2]) for row in pairs[1:]), reverse=True
    )
    true, claimed = (int(name.split()[1]) for name in pairs[1][:2])
    assert (
        int(pairs[1][2])
        == count.confusion[true, claimed]
        == (count.confusion - np.diag(np.diag(count.confusion))).max()
    )
    assert [float(row[3]) for row in weakest[1:11]] == pytest.approx(sorted(100 * count.f1)[:10], abs=0.05)
    assert len(every) == 202 and "Names of the 200 classes" in reader.text


@pytest.mark.parametrize("classes", [1, 2, 16, 30, 31])
def test_every_number_of_classes(some_run, classes):
    made(some_run(classes=["ένα"] * classes))


def test_an_empty_part_is_said(some_run):
    reader = made(some_run(samples=0, counts={}, layers=[], filters=None, best_epoch=None, environment={}))
    assert "The test part has no samples: there is nothing to measure." in reader.text
    assert "The network has no convolution." in reader.text and not reader.named("img")


def test_a_diverged_run(some_run):
    nan = float("nan")
    epochs = [{"epoch": 1, "train_loss": nan, "train_accuracy": 0.5, "val_loss": None}, {"epoch": 2, "train_loss": nan}]
    reader = made(some_run(epochs=epochs, probabilities=np.full((40, 3), np.nan, np.float32)))
    assert "Values that are not finite and so left out: 2." in reader.text
    assert "no epoch was finished, or the training diverged" in made(some_run(epochs=[])).text
