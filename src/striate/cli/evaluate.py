"""`striate evaluate`: measure a trained network."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option


def evaluate(
    run: Annotated[Path, Argument(help="Run folder.")],
    source: Annotated[str | None, Argument(help="Other labelled data; the run's own if not given.")] = None,
    part: Annotated[
        Literal["train", "val", "test"] | None, Option(help="Part of the data: test of the run's own, all of others'.")
    ] = None,
) -> None:
    """Measure the best network of a run, class by class."""
    from math import isnan

    from rich.console import Console
    from rich.table import Table

    from striate import training
    from striate.training.report.scores import scores

    trained = training.load_trained(run)
    evaluation = training.evaluate(run, source, part=part)
    table = Table("class", *("precision", "recall", "samples"))
    for column in table.columns[1:]:
        column.justify = "right"
    rates = scores(evaluation.labels.numpy(), evaluation.predictions.numpy(), len(trained.classes))
    for name, *row in zip(trained.classes, rates.precision, rates.recall, rates.support, strict=True):
        table.add_row(name, *(("-" if isnan(rate) else f"{100 * rate:.1f} %") for rate in row[:2]), f"{row[2]:,}")
    # Names may hold what rich takes for its markup.
    Console(markup=False, emoji=False, highlight=False).print(table)
    print(f"wrong: {evaluation.wrong} of {len(evaluation.labels)}")
    print(f"{evaluation.part} accuracy: {100 * evaluation.accuracy:.2f} %")
