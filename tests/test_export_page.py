"""What docs/export.md says is what happens."""

import doctest
import re
from pathlib import Path

from tests.export.test_source_file import ALONE
from typer.testing import CliRunner

from striate.cli import app

PAGE = Path(__file__).parents[1] / "docs/export.md"


def test_examples_run() -> None:
    failed, attempted = doctest.testfile(str(PAGE), module_relative=False)
    assert attempted > 5
    assert failed == 0


def test_options_exist() -> None:
    said = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "300"}).output
    options = set(re.findall(r"--[a-z]+[a-z-]*", PAGE.read_text()))
    assert {"--onnx", "--safetensors", "--code", "--overwrite"} < options
    assert options <= set(re.findall(r"--[a-z-]+", said))


def test_networks_that_need_no_striate() -> None:
    (row,) = (line for line in PAGE.read_text().splitlines() if line.endswith("| PyTorch alone |"))
    assert set(re.findall(r"`(\w+\*?)`", row)) == ALONE | {"vgg*"}
