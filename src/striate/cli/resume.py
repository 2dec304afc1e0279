"""`striate resume`: go on with a run that was stopped."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option


def resume(
    run: Annotated[Path, Argument(help="Run folder.")],
    threads: Annotated[int | None, Option(help="Must be the run's own, if given.")] = None,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], Option(help="Must be the run's own, if given.")
    ] = "auto",
    workers: Annotated[int | None, Option(help="Processes that decode pictures; any number.")] = None,
) -> None:
    """Go on with a run, to the same bits as if it had not been stopped."""
    import dataclasses

    from striate import training
    from striate.cli.outcome import show
    from striate.training.run import Run

    config = training.Config.from_dict(Run(run).config()["training"])
    config = dataclasses.replace(config, threads=threads, precision=precision)
    if workers is not None:
        config = dataclasses.replace(config, workers=workers)
    show(training.resume(run, config=config, verbose=True))
