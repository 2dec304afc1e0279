"""What the README shows is what happens."""

import doctest
import re
from pathlib import Path

from typer.testing import CliRunner

from striate.cli import app

README = Path(__file__).parents[1] / "README.md"


def test_examples_run() -> None:
    failed, attempted = doctest.testfile(str(README), module_relative=False)
    assert attempted > 5
    assert failed == 0


def test_every_command_exists() -> None:
    shown = set(re.findall(r"^(?:\.venv/bin/)?striate (\w+)", README.read_text(), re.MULTILINE))
    assert shown == {"train", "resume", "evaluate", "predict", "runs", "models", "inspect", "export"}
    for name in shown:
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


def test_every_make_target_exists() -> None:
    makefile = (README.parent / "Makefile").read_text()
    targets = set(re.findall(r"\bmake (\w+)\b", README.read_text()))
    assert targets >= {"demo", "test", "check", "bench", "sweep"}
    for target in targets - {"the"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
