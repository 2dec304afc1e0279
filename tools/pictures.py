"""Write docs/pictures/ from runs: `make pictures`, or `python tools/pictures.py [FOLDER]`."""

import argparse
from pathlib import Path

from pictures_page.page import write

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Show on a picture what the operators do, with numbers.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "pictures", help="where it is written")
    folder = parser.parse_args().folder
    write(folder)
    print(f"{folder} written")


if __name__ == "__main__":
    main()
