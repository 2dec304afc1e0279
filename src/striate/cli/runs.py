"""`striate runs`: the runs in a folder."""

from pathlib import Path
from typing import Annotated

from typer import Argument


def runs(folder: Annotated[Path, Argument(help="Folder that holds run folders.")] = Path("runs")) -> None:
    """List the runs in a folder: what was trained on what, how far, how well."""
    from rich.console import Console
    from rich.table import Table

    from striate.training import list_runs

    found = list_runs(folder)
    if not found:
        print(f"no runs in {folder}")
        return
    table = Table("run", "network", "data", "epochs", "best val", "test", "state")
    for row in found:
        table.add_row(
            row.name,
            row.model,
            row.source,
            f"{row.epochs_done}/{row.epochs}",
            _percent(row.val),
            _percent(row.test),
            row.state,
        )
    # Names may hold what rich takes for its markup.
    Console(markup=False, emoji=False, highlight=False).print(table)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"
