"""The architecture as a test: rooms, imports, the public surface."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import striate
from striate.ops import OPERATORS
from surface import packages, surface

ROOT = Path(__file__).parents[1]


def incomplete_operators(root: Path) -> Iterator[str]:
    """What the operators below a project's root lack."""
    for folder in sorted((root / "src/striate/ops").glob("*/")):
        if folder.name.startswith("_"):
            continue
        name = folder.name
        required = [folder / "__init__.py", folder / "op.py", folder / "reference.py"]
        required += [root / f"tests/ops/test_{name}.py", root / f"benchmarks/{name}.py"]
        yield from (f"{name}: {file.relative_to(root)} is missing" for file in required if not file.exists())
        rooms = [folder / "cpu.py", folder / "gpu.py"]
        signatures = [interface(room) for room in rooms if room.exists()]
        if any(set(signature) != {"forward", "backward"} for signature in signatures):
            yield f"{name}: a room must expose forward and backward"
        elif len(signatures) == 2 and signatures[0] != signatures[1]:
            yield f"{name}: cpu.py and gpu.py differ in their signatures"


def interface(room: Path) -> dict[str, str]:
    """The public functions of a room with their signatures, read without importing it."""
    functions = (node for node in ast.parse(room.read_text()).body if isinstance(node, ast.FunctionDef))
    return {node.name: ast.unparse(node.args) for node in functions if not node.name.startswith("_")}


def test_every_operator_is_complete() -> None:
    assert list(incomplete_operators(ROOT)) == []


def test_the_test_finds_what_an_operator_lacks(tmp_path: Path) -> None:
    folder = tmp_path / "src/striate/ops/new_conv"
    folder.mkdir(parents=True)
    for name in ("__init__.py", "op.py", "reference.py"):
        (folder / name).touch()
    (folder / "cpu.py").write_text("def forward(input, weight): ...\ndef backward(grad): ...\n")
    assert list(incomplete_operators(tmp_path)) == [
        "new_conv: tests/ops/test_new_conv.py is missing",
        "new_conv: benchmarks/new_conv.py is missing",
    ]
    for file in ("tests/ops/test_new_conv.py", "benchmarks/new_conv.py"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    (folder / "gpu.py").write_text("def forward(input): ...\ndef backward(grad): ...\n")
    assert list(incomplete_operators(tmp_path)) == ["new_conv: cpu.py and gpu.py differ in their signatures"]
    (folder / "gpu.py").write_text("def forward(input, weight): ...\n")
    assert list(incomplete_operators(tmp_path)) == ["new_conv: a room must expose forward and backward"]


def test_imports_point_down_only() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


def test_every_layer_is_in_the_contract() -> None:
    named = (ROOT / "pyproject.toml").read_text().partition("[tool.importlinter]")[2]
    for folder in (ROOT / "src/striate").iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert folder.name in named


def test_no_room_for_odds_and_ends() -> None:
    names = {path.stem for path in (ROOT / "src/striate").rglob("*")}
    assert names.isdisjoint({"utils", "util", "common", "helpers", "misc", "core"})


def test_public_surface_is_the_recorded_one() -> None:
    recorded = (ROOT / "tests/api_surface.txt").read_text()
    assert surface() == recorded, "accept the change: python tools/surface.py > tests/api_surface.txt"


def test_lazy_names_are_the_public_packages_and_operators() -> None:
    own = set(striate.__all__) - set(OPERATORS) - {"inspect"}
    assert sorted(f"striate.{name}" for name in own) == sorted(packages())
    assert striate.inspect is striate.inspection.inspect
    assert set(OPERATORS) < set(striate.__all__)
    for package in packages():
        assert getattr(striate, package.removeprefix("striate.")) is importlib.import_module(package)
    for name, package in OPERATORS.items():
        assert getattr(striate, name) is getattr(importlib.import_module(package), name)
    with pytest.raises(AttributeError, match="module 'striate' has no attribute 'convolution'"):
        striate.convolution  # noqa: B018


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh process has loaded after running some code."""
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_import_is_light() -> None:
    heavy = {"torch", "numpy", "numba", "triton", "matplotlib", "rich", "sklearn", "typer"}
    assert heavy.isdisjoint(loaded_by("import striate"))
    assert heavy.isdisjoint(loaded_by("import striate.geometry"))


def test_training_imports_what_it_needs_only_when_it_needs_it() -> None:
    heavy = {"numba", "triton", "matplotlib", "rich", "sklearn", "typer"}
    assert heavy.isdisjoint(loaded_by("import striate.training, striate.models, striate.data"))
