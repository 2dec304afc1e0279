"""The runs in a folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from striate.training import checkpoint
from striate.training.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run of a list.

    Args:
        name: of the run folder.
        model: name of the network.
        source: the data.
        epochs_done: epochs that were measured.
        epochs: epochs that were asked for.
        val: best accuracy on the validation part, from 0 to 1.
        test: accuracy of a finished run on the part that was held out.
        state: "finished", "at step N", or why the folder cannot be read.

    Example:
        >>> RunRow(name="a", model="lenet5", source="digits", epochs_done=1, epochs=2, state="at step 23").val is None
        True
    """

    name: str
    model: str = ""
    source: str = ""
    epochs_done: int = 0
    epochs: int = 0
    val: float | None = None
    test: float | None = None
    state: str = ""


def list_runs(folder: str | os.PathLike[str] = "runs") -> list[RunRow]:
    """List the runs in a folder, by name.

    Args:
        folder: the folder that holds run folders.

    Returns:
        One row a run; a run that cannot be read says why in its state.

    Raises:
        FileNotFoundError: if there is no such folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as empty:
        ...     list_runs(empty)
        []
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    return [_row(Run(path.parent)) for path in sorted(folder.glob("*/config.json"))]


def _row(run: Run) -> RunRow:
    try:
        config, result = run.config(), run.result()
        records = run.epochs()
        steps = checkpoint.saved_steps(run.checkpoints)
        return RunRow(
            name=run.folder.name,
            model=config["model"]["name"],
            source=config["source"],
            epochs_done=len(records),
            epochs=config["training"]["epochs"],
            val=max((record["val_accuracy"] for record in records if "val_accuracy" in record), default=None),
            test=result["accuracy"] if result else None,
            state="finished" if result else f"at step {steps[-1]}" if steps else "not begun",
        )
    except (ValueError, KeyError, OSError) as error:
        return RunRow(name=run.folder.name, state=str(error))
