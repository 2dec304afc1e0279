import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMANDS = ["train", "resume", "evaluate", "predict", "runs"]
HEAVY = ["torch", "numpy", "PIL", "sklearn", "matplotlib", "numba", "triton"]
Command = Callable[..., Any]


def test_help_needs_no_torch():
    program = f"""
import sys
from striate.cli import main
for command in {[[], *([command] for command in COMMANDS)]}:
    sys.argv = ["striate", *command, "--help"]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, command
loaded = sorted(set({HEAVY}) & set(sys.modules))
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option in ("--schedule", "--dry-run", "--json", "--part", "--workers"):
        assert option in done.stdout


def test_python_m_striate():
    done = subprocess.run([sys.executable, "-m", "striate", "runs", "no/such"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no folder no/such\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands(striate: Command, arguments: tuple[str, ...]):
    answer = striate(*arguments)
    assert answer.status == 0
    for command in COMMANDS:
        assert f" {command} " in answer.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["quux"], ["quux"]),
        (["--quux"], ["--quux"]),
        (["train"], ["source"]),
        (["train", "digits", "--quux"], ["--quux"]),
        (["train", "digits", "--epochs", "many"], ["--epochs"]),
        (["train", "digits", "--epochs"], ["--epochs"]),
        (["train", "digits", "--schedule", "linear"], ["--schedule", "linear", "cosine"]),
        (["predict", "run"], ["files"]),
        (["evaluate", "run", "--part", "all"], ["--part", "all", "test"]),
    ],
)
def test_what_was_typed_is_wrong(striate: Command, arguments: list[str], words: list[str]):
    answer = striate(*arguments)
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    for word in words:
        assert word in answer.err


def test_a_traceback_on_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from striate.cli import main

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["striate", "runs", str(tmp_path / "nowhere")])
    monkeypatch.setenv("STRIATE_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        main()
