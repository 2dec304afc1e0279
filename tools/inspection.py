"""Write docs/inspection.md: `make docs`, or `python tools/inspection.py`."""

import importlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    sys.path[:0] = [str(ROOT)]
    from benchmarks.peers.counters import ANSWERS

    from inspection_page.page import whole

    importlib.import_module("benchmarks.peers.torchvision_on_cpu")
    page = whole(json.loads(ANSWERS.read_text(encoding="utf-8")))
    file = ROOT / "docs" / "inspection.md"
    file.write_text(page, encoding="utf-8")
    print(f"{file.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
