"""Write docs/models.md: `make docs`, or `python tools/models.py`."""

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    sys.path[:0] = [str(ROOT)]
    from models_page import whole

    importlib.import_module("benchmarks.peers.torchvision_on_cpu")
    page = whole(importlib.import_module("torchvision.models"))
    file = ROOT / "docs" / "models.md"
    file.write_text(page, encoding="utf-8")
    print(f"{file.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
