"""The command `striate`: one file a subcommand, each importing what it needs only when it runs."""

import io
import os
import sys

import typer

from striate.cli import evaluate, export, inspect, models, predict, resume, runs, train, warmup

__all__ = ["app", "main"]

app = typer.Typer(
    name="striate",
    help="The convolution library for PyTorch: train, resume, evaluate, ask and inspect networks.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.train)
app.command("resume")(resume.resume)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("runs")(runs.runs)
app.command("models")(models.models)
app.command("inspect")(inspect.inspect)
app.command("export")(export.export)
app.command("warmup")(warmup.warmup)


def main() -> None:
    """Run the command; a user's mistake becomes one line and status 2, unless STRIATE_TRACEBACK is set.

    Raises:
        ValueError: if STRIATE_TRACEBACK is set.
        TypeError: likewise.
        OSError: likewise.
    """
    # A file name that is no UTF-8 reaches us as lone surrogates, which cannot be printed as they are.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except typer.TyperException as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
    except (ValueError, TypeError, OSError) as error:
        if os.environ.get("STRIATE_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
