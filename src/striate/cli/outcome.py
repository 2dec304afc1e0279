"""The last lines of `striate train` and `striate resume`."""

from striate.training import Result


def show(result: Result) -> None:
    """Print how the run ended and where its report is."""
    evaluation = result.evaluation
    print(f"best epoch: {result.best_epoch}")
    print(f"wrong: {evaluation.wrong} of {len(evaluation.labels)}")
    print(f"{evaluation.part} accuracy: {100 * evaluation.accuracy:.2f} %")
    print(f"report: {result.report}")
