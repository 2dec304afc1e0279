"""No timing of what is wrong: a topic's tests run first."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def failure(tests: Sequence[str], *, root: Path = ROOT) -> str | None:
    """The end of pytest's output if a test fails or none is there, else None.

    Args:
        tests: files or folders, from the root.
        root: the folder of the repository.
    """
    missing = [name for name in tests if not (root / name).exists()]
    if missing:
        return f"no such tests: {', '.join(missing)}"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "auto", *tests]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stdout + done.stderr)[-2000:]
