import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.models.cases import CASES
from tests.models.filling import quick_numbers

from striate import models

Command = Callable[..., Any]
NETWORKS = {name: models.builder_of(name).network for name in CASES}
CLASSIFIERS = [name for name, network in NETWORKS.items() if (network.TAKES, network.GIVES) == ("pictures", "classes")]
OTHERS = [name for name in CASES if name not in CLASSIFIERS]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_models_lists_every_network(striate: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "120")
    answer = striate("models")
    assert (answer.status, answer.err) == (0, "")
    rows = [[cell.strip() for cell in re.split("[│┃|]", line)[1:-1]] for line in answer.out.splitlines()]
    rows = [row for row in rows if row]
    assert rows[0] == ["network", "takes", "gives", "input", "classes", "parameters"]
    assert [row[0] for row in rows[1:]] == models.names()
    assert ["lenet5", "pictures", "classes", "1x28x28", "10", "60,806"] in rows


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_train_takes_every_classifier_of_pictures(striate: Command, home: Path, name: str):
    height, width = CASES[name].sizes[0]
    with quick_numbers():
        answer = striate("train", "digits", "--model", name, "--size", f"{height}x{width}", "--dry-run")
    assert (answer.status, answer.err) == (0, "")
    assert re.search(rf"network: +{name}: [\d,]+ parameters, input 1x{height}x{width}\n", answer.out)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", OTHERS)
def test_train_refuses_all_others(striate: Command, home: Path, name: str):
    answer = striate("train", "digits", "--model", name, "--dry-run")
    network = NETWORKS[name]
    says = f"{name} takes {network.TAKES} and gives {network.GIVES}: training takes networks of pictures and classes"
    assert (answer.status, answer.out, answer.err) == (2, "", f"error: {says}\n")
    assert list(home.iterdir()) == []


def test_train_names_near_matches(striate: Command):
    answer = striate("train", "digits", "--model", "lenet6", "--dry-run")
    assert (answer.status, answer.out) == (2, "")
    assert re.match(r"error: there is no network named 'lenet6': did you mean lenet5\b", answer.err)
