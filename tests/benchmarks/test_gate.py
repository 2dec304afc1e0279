"""Red tests refuse the timing."""

from pathlib import Path

import pytest
from benchmarks.runner.gate import ROOT, failure


@pytest.mark.parametrize(
    ("content", "said"),
    [("def test_right():\n    assert True\n", None), ("def test_wrong():\n    assert 1 == 2\n", "1 == 2")],
)
def test_green_opens_and_red_closes(tmp_path: Path, content: str, said: str | None) -> None:
    (tmp_path / "test_it.py").write_text(content)
    found = failure(["test_it.py"], root=tmp_path)
    assert found is None if said is None else found is not None and said in found


def test_tests_that_do_not_exist_close_the_gate(tmp_path: Path) -> None:
    found = failure(["test_nowhere.py"], root=tmp_path)
    assert found is not None
    assert "test_nowhere.py" in found


def test_root_is_the_repository() -> None:
    assert (ROOT / "pyproject.toml").is_file()
