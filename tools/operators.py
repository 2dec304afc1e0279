"""Write docs/operators.md from runs: `make docs`, or `python tools/operators.py [--draws N]`."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Run every operator, and write down what it can do.")
    parser.add_argument("--draws", type=int, default=1100, metavar="N", help="random configurations of each check")
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from benchmarks.runner.record import RESULTS

    from operators_page.page import whole
    from operators_page.rows import rows
    from ops.test_sweep import CHECKS

    page = whole(rows(), CHECKS, options.draws, RESULTS)
    file = ROOT / "docs" / "operators.md"
    file.parent.mkdir(exist_ok=True)
    file.write_text(page, encoding="utf-8")
    print(f"{file.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
