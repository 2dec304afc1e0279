"""`striate predict`: ask a trained network what pictures show."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def predict(
    run: Annotated[Path, Argument(help="Run folder.")],
    files: Annotated[list[Path], Argument(help="Pictures.")],
    top: Annotated[int, Option(help="Classes to name for each.")] = 5,
    as_json: Annotated[bool, Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name the most probable classes of pictures."""
    import dataclasses
    import json

    from striate import training

    answers = training.predict(run, files, top=top)
    if as_json:
        print(json.dumps([dataclasses.asdict(answer) for answer in answers], indent=1, ensure_ascii=False))
        return
    for answer in answers:
        print(answer.file)
        for name, probability in zip(answer.classes, answer.probabilities, strict=True):
            print(f"  {100 * probability:6.2f} %  {name}")
