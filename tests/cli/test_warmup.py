"""`striate warmup`."""

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from striate.cli import app

ROOT = Path(__file__).parents[2]


def test_every_kernel_is_named() -> None:
    result = CliRunner().invoke(app, ["warmup"])
    assert result.exit_code == 0
    for operator in (
        "depthwise convolution",
        "deformable convolution",
        "deformable aggregation",
        "unshared convolution",
        "local normalisation",
        "norm pooling",
        "pooling",
    ):
        for dtype in ("float32", "float64"):
            assert f"{operator}, {dtype}: ready" in result.output


def test_every_file_with_kernels_is_compiled() -> None:
    files = [file for file in (ROOT / "src/striate/ops").rglob("*.py") if "\n@kernel\n" in file.read_text()]
    # These are called by other kernels only, and compiled into them.
    decorated = {file.name for file in files} - {"_lanes.py", "blocks.py", "lanes.py", "planes.py"}
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from striate.cli import app\n"
        "assert CliRunner().invoke(app, ['warmup']).exit_code == 0\n"
        "from numba.core.dispatcher import Dispatcher\n"
        "modules = [m for n, m in sorted(sys.modules.items()) if n.startswith('striate.ops')]\n"
        "found = {(m.__file__, n): len(f.signatures) for m in modules for n, f in vars(m).items()"
        " if isinstance(f, Dispatcher) and f.py_func.__module__ == m.__name__}\n"
        "for (file, name), signatures in found.items(): print(file, name, signatures)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    compiled: dict[str, int] = {}
    for line in run.stdout.splitlines():
        file, _, signatures = line.rsplit(" ", 2)
        compiled[Path(file).name] = compiled.get(Path(file).name, 0) + int(signatures)
    assert {name for name in decorated if not compiled.get(name)} == set()
