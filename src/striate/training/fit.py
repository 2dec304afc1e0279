"""Begin a run, or go on with one."""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from striate import models
from striate.data import Dataset, Normalization, Part, batches
from striate.training.config import Config
from striate.training.evaluation import Evaluation
from striate.training.files import write_json
from striate.training.plan import Plan, check_scores, decoders, plan, seeded
from striate.training.precision import faster_precision
from striate.training.progress import Progress, Silent, progress_for
from striate.training.run import Run, check_new, free_folder
from striate.training.story import write_story
from striate.training.trained import check_unchanged, own_data
from striate.training.trainer import Trainer

# Settings that change neither the weights nor the measurements.
_WITHOUT_CONSEQUENCE = ("workers", "checkpoint_seconds")
# Values that leave a decision to the run, which has taken it at its beginning.
_UNDECIDED = {"threads": None, "precision": "auto", "device": "auto"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The end of a run.

    Args:
        folder: the run folder.
        model: the network with its best weights, in evaluation mode.
        evaluation: what it answers on the test part (the validation part where there is no test part).
        best_epoch: the epoch of these weights, from 1.
        report: the report to open, None if none was asked for.

    Example:
        >>> Result.__slots__
        ('folder', 'model', 'evaluation', 'best_epoch', 'report')
    """

    folder: Path
    model: nn.Module
    evaluation: Evaluation
    best_epoch: int
    report: Path | None


def fit(
    model: str | nn.Module,
    data: str | os.PathLike[str] | Dataset,
    config: Config | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    size: int | tuple[int, int] | None = None,
    report: bool = True,
    verbose: bool = False,
    on_step: Callable[[int], None] | None = None,
) -> Result:
    """Train a network on labelled pictures and write a run folder that can be resumed and shown.

    The same arguments on the same machine give the same bits, also when the run is stopped at any step, by a signal or
    a crash, and taken up again with `resume`.

    Args:
        model: a name in `striate.models`, or any module that takes `(N, C, H, W)` and returns `(N, classes)`; it is
            trained in place.
        data: a source that `striate.data.load` takes ("digits", a folder, an .npz, a .csv), or loaded data.
        config: the settings.
        out: the run folder, which must not exist or be empty; `runs/DATA-MODEL` with a number if None.
        size: height and width to which pictures are resampled; the network's own if None.
        report: write `report.html` and its figures at the end.
        verbose: show progress on standard output.
        on_step: called with the number of steps taken after each.

    Returns:
        The network with its best weights on the validation part, and how it does on the test part.

    Raises:
        FileExistsError: if `out` holds something already.
        OSError: if the run folder or a checkpoint cannot be written.
        ValueError: if the data or the network cannot be used, or the loss is no longer finite.
        KeyboardInterrupt: after SIGINT, once the step is done and its checkpoint written.
        SystemExit: likewise after SIGTERM, with status 143.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = fit("lenet5", "digits", Config(epochs=2), out=f"{folder}/run", report=False)
        >>> result.evaluation.accuracy > 0.3
        True
    """
    if out is not None:
        check_new(Path(out))
    return carry_out(plan(model, data, config, size=size), out=out, report=report, verbose=verbose, on_step=on_step)


def carry_out(
    planned: Plan,
    *,
    out: str | os.PathLike[str] | None = None,
    report: bool = True,
    verbose: bool = False,
    on_step: Callable[[int], None] | None = None,
) -> Result:
    """Do what `plan` has planned; `fit` is the two together.

    Args:
        planned: the plan.
        out: the run folder, which must not exist or be empty; `runs/DATA-MODEL` with a number if None.
        report: write `report.html` and its figures at the end.
        verbose: show progress on standard output.
        on_step: called with the number of steps taken after each.

    Returns:
        What `fit` returns.

    Raises:
        FileExistsError: if `out` holds something already.
        OSError: if the run folder or a checkpoint cannot be written.
        ValueError: if the network does not fit the data, or the loss is no longer finite.
        KeyboardInterrupt: after SIGINT, once the step is done and its checkpoint written.
        SystemExit: likewise after SIGTERM, with status 143.

    Example:
        >>> import tempfile
        >>> planned = plan("lenet5", "digits", Config(epochs=1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     carry_out(planned, out=f"{folder}/run", report=False).best_epoch
        1
    """
    check_scores(planned)
    data = planned.data
    run = Run(Path(out) if out is not None else free_folder(f"{_stem(data.source)}-{planned.model_name}"))
    with _threads(planned.config.threads):
        normalization = Normalization.of(data, workers=decoders(planned.config.workers))
        if planned.config.precision == "auto":
            planned = _decide_precision(planned, normalization)
        run.create(
            {
                "model": {"name": planned.model_name, "options": planned.model_options},
                "source": _absolute(data.source),
                "training": planned.config.to_dict(),
            },
            {"normalization": dataclasses.asdict(normalization), "manifest": data.manifest()},
        )
        return _train(run, planned, normalization, report=report, verbose=verbose, on_step=on_step)


def resume(
    folder: str | os.PathLike[str],
    *,
    model: nn.Module | None = None,
    data: Dataset | None = None,
    config: Config | None = None,
    report: bool = True,
    verbose: bool = False,
    on_step: Callable[[int], None] | None = None,
) -> Result:
    """Go on with a run that was stopped, to the same bits as if it had not been.

    The newest checkpoint that is whole is taken; damaged ones are passed over, with a word if `verbose`. A run without
    any begins again from its `config.json`.

    Args:
        folder: the run folder.
        model: the network, as it was when `fit` was called; needed only if it was not built by `striate.models`.
        data: the data; needed only if `fit` was given data that were not loaded from a source.
        config: settings that must be those of the run, if given.
        report: write `report.html` and its figures at the end.
        verbose: show progress on standard output.
        on_step: called with the number of steps taken after each.

    Returns:
        What `fit` would have returned.

    Raises:
        FileNotFoundError: if the folder is no run.
        OSError: if a checkpoint cannot be written.
        ValueError: if the data, the settings or the network are not those of the run, saying what changed.
        KeyboardInterrupt: after SIGINT, once the step is done and its checkpoint written.
        SystemExit: likewise after SIGTERM, with status 143.

    Example:
        >>> resume("no/such/run")
        Traceback (most recent call last):
        FileNotFoundError: no/such/run is not a run folder: it has no config.json
    """
    run = Run(Path(folder))
    stored = run.config()
    settings = Config.from_dict(stored["training"])
    if config is not None:
        _check_same(run, settings, config)
    if data is None:
        data = own_data(run)
    else:
        check_unchanged(run, data)
    if model is None:
        with seeded(settings.seed):
            model = models.rebuild(stored["model"]["name"], stored["model"]["options"])
    planned = plan(model, data, settings)
    with _threads(settings.threads):
        normalization = Normalization(**run.data()["normalization"])
        return _train(run, planned, normalization, report=report, verbose=verbose, on_step=on_step)


def _train(
    run: Run,
    planned: Plan,
    normalization: Normalization,
    *,
    report: bool,
    verbose: bool,
    on_step: Callable[[int], None] | None,
) -> Result:
    config = planned.config
    trainer = Trainer(
        model=planned.model,
        data=planned.data,
        normalization=normalization,
        config=config,
        run=run,
        identity=_identity(planned),
        on_step=on_step,
    )
    with torch.random.fork_rng():
        for sentence in trainer.restore():
            if verbose:
                print(f"note: {sentence}")
        shown: Progress = progress_for(trainer.total, config.epochs, trainer.state.step) if verbose else Silent()
        trainer.train(shown)
    best_step = trainer.load_best()
    part: Part = next(part for part in ("test", "val", "train") if len(planned.data.parts[part]))
    evaluation = trainer.evaluate(part)
    best_epoch = best_step // trainer.steps_an_epoch
    page = write_story(run, planned, evaluation, best_epoch) if report else None
    write_json(
        run.folder / "result.json",
        {
            "part": part,
            "samples": len(evaluation.labels),
            "wrong": evaluation.wrong,
            "accuracy": evaluation.accuracy,
            "loss": evaluation.loss,
            "best_epoch": best_epoch,
        },
    )
    return Result(
        folder=run.folder, model=planned.model.eval(), evaluation=evaluation, best_epoch=best_epoch, report=page
    )


def _identity(planned: Plan) -> dict[str, Any]:
    """What must be the same for a run to go on, as JSON gives it back."""
    settings = {k: v for k, v in planned.config.to_dict().items() if k not in _WITHOUT_CONSEQUENCE}
    # Where the data lie does not count: they may be named by another path.
    described = {name: value for name, value in planned.data.manifest().items() if name != "source"}
    manifest = json.dumps(described, sort_keys=True)
    everything = {
        **settings,
        "model": planned.model_name,
        "model_options": planned.model_options,
        "data": hashlib.sha256(manifest.encode()).hexdigest(),
    }
    identity: dict[str, Any] = json.loads(json.dumps(everything))
    return identity


def _check_same(run: Run, stored: Config, given: Config) -> None:
    """See that settings, but for those that the run decides or that change nothing, are the run's."""
    asked = {
        field.name: getattr(given, field.name)
        for field in dataclasses.fields(Config)
        if field.name not in _WITHOUT_CONSEQUENCE and (field.name, getattr(given, field.name)) not in _UNDECIDED.items()
    }
    run.check_same({name: getattr(stored, name) for name in asked}, asked)


def _decide_precision(planned: Plan, normalization: Normalization) -> Plan:
    config = planned.config
    batch = next(batches(planned.data, "train", batch_size=config.batch_size))
    device = torch.device(config.device)
    pictures = normalization(batch.pictures.to(device))
    decided = faster_precision(planned.model, pictures, batch.labels.to(device))
    return dataclasses.replace(planned, config=dataclasses.replace(config, precision=decided))


def _stem(source: str) -> str:
    return Path(os.path.abspath(source)).stem


def _absolute(source: str) -> str:
    return os.path.abspath(source) if os.path.exists(source) else source


@contextlib.contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
