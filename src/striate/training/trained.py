"""Using what a run has learned: measuring it on other data, and asking it about pictures."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from striate import data as sources
from striate import models
from striate.data import Dataset, Normalization, Part
from striate.training import checkpoint
from striate.training.checkpoint import DamagedCheckpoint
from striate.training.evaluation import Evaluation, evaluate_part
from striate.training.plan import decoders
from striate.training.precision import Decided
from striate.training.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network with all that it needs to be asked about pictures.

    Args:
        run: where it comes from.
        model: the network with its best weights, in evaluation mode.
        classes: the names of its classes.
        channels: of its input.
        size: height and width of its input, in pixels.
        normalization: of its input.
        precision: of the products, as in training.

    Example:
        >>> [field.name for field in dataclasses.fields(Trained)][:3]
        ['run', 'model', 'classes']
    """

    run: Run
    model: nn.Module
    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int]
    normalization: Normalization
    precision: Decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one picture.

    Args:
        file: the picture.
        classes: names of the most probable classes, the most probable first.
        probabilities: theirs, from 0 to 1.

    Example:
        >>> Prediction(file="a.png", classes=("cat", "dog"), probabilities=(0.9, 0.1)).classes[0]
        'cat'
    """

    file: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


def load_trained(folder: str | os.PathLike[str], *, model: nn.Module | None = None) -> Trained:
    """Load the best network of a run, finished or not.

    Args:
        folder: the run folder.
        model: the network, as it was when `fit` was called; needed only if it was not built by `striate.models`.

    Returns:
        The network and what it needs.

    Raises:
        FileNotFoundError: if the folder is no run or has no checkpoint yet.
        ValueError: if all checkpoints are damaged, or the network is not the run's.

    Example:
        >>> load_trained("no/such/run")
        Traceback (most recent call last):
        FileNotFoundError: no/such/run is not a run folder: it has no config.json
    """
    run = Run(Path(folder))
    stored, data = run.config(), run.data()
    manifest = data["manifest"]
    if model is None:
        model = models.rebuild(stored["model"]["name"], stored["model"]["options"])
    checkpoint.load_weights(model, _best_weights(run))
    return Trained(
        run=run,
        model=model.eval(),
        classes=tuple(manifest["classes"]),
        channels=manifest["channels"],
        size=tuple(manifest["size"]),
        normalization=Normalization(**data["normalization"]),
        precision=stored["training"]["precision"],
    )


def evaluate(
    folder: str | os.PathLike[str],
    source: str | os.PathLike[str] | Dataset | None = None,
    *,
    part: Part | None = None,
    model: nn.Module | None = None,
) -> Evaluation:
    """Measure the best network of a run on a part of its own data, or on other data.

    Args:
        folder: the run folder.
        source: other data, all of whose samples are used unless `part` is given; None means the run's own.
        part: "train", "val" or "test"; the run's own test part if neither `source` nor `part` is given.
        model: the network, needed only if it was not built by `striate.models`.

    Returns:
        Labels, probabilities and loss.

    Raises:
        FileNotFoundError: if the folder is no run or has no checkpoint yet.
        ValueError: if the data have classes that the network does not know, or another size; or the part is empty.

    Example:
        >>> evaluate("no/such/run")
        Traceback (most recent call last):
        FileNotFoundError: no/such/run is not a run folder: it has no config.json
    """
    trained = load_trained(folder, model=model)
    if source is None:
        data = own_data(trained.run)
    elif isinstance(source, Dataset):
        data = source
        for name in ("classes", "channels", "size"):
            expected, got = getattr(trained, name), getattr(data, name)
            if got != expected:
                raise ValueError(f"{name} of the data must be the network's {expected}, got {got}")
    else:
        data = sources.load(source, size=trained.size, channels=trained.channels, classes=trained.classes)
    if source is not None and part is None:
        data = dataclasses.replace(data, parts={**data.parts, "test": torch.arange(len(data.names))})
    normalization = dataclasses.replace(trained.normalization, peak=data.peak)
    return evaluate_part(
        trained.model, data, part or "test", normalization, precision=trained.precision, workers=decoders(None)
    )


def predict(
    folder: str | os.PathLike[str],
    files: Sequence[str | os.PathLike[str]],
    *,
    top: int = 5,
    model: nn.Module | None = None,
) -> list[Prediction]:
    """Ask the best network of a run what pictures show.

    Args:
        folder: the run folder.
        files: pictures of any size.
        top: how many classes to name for each.
        model: the network, needed only if it was not built by `striate.models`.

    Returns:
        One answer a picture, in the order of `files`.

    Raises:
        FileNotFoundError: if the folder is no run, has no checkpoint yet, or a picture does not exist.
        ValueError: if `top` is less than one, or a file is no picture.

    Example:
        >>> predict("no/such/run", ["a.png"])
        Traceback (most recent call last):
        FileNotFoundError: no/such/run is not a run folder: it has no config.json
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    trained = load_trained(folder, model=model)
    answers = []
    for file in files:
        picture = sources.decode(file)
        peak = 255.0 if picture.dtype == torch.uint8 else 65535.0
        picture = sources.conform(picture, channels=trained.channels, peak=peak, size=trained.size)
        normalization = dataclasses.replace(trained.normalization, peak=peak)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=trained.precision == "bfloat16"):
            probabilities = trained.model(normalization(picture[None])).float().softmax(1)[0]
        values, indices = probabilities.topk(min(top, len(trained.classes)))
        answers.append(
            Prediction(
                file=os.fspath(file),
                classes=tuple(trained.classes[index] for index in indices.tolist()),
                probabilities=tuple(values.tolist()),
            )
        )
    return answers


def own_data(run: Run) -> Dataset:
    """Load the data of a run again, with its own parts.

    Raises:
        ValueError: if the data have changed, saying how.
    """
    stored, manifest = run.config(), run.data()["manifest"]
    dataset = sources.load(
        stored["source"],
        size=tuple(manifest["size"]),
        channels=manifest["channels"],
        seed=stored["training"]["seed"],
        parts=manifest["parts"],
    )
    check_unchanged(run, dataset)
    return dataset


def check_unchanged(run: Run, data: Dataset) -> None:
    """Compare data with those that a run was begun with.

    Raises:
        ValueError: if they differ, saying how.
    """
    changed = sources.changes(run.data()["manifest"], data.manifest())
    if changed:
        raise ValueError(f"the data of {run.folder} have changed: {'; '.join(changed)}")


def _best_weights(run: Run) -> dict[str, torch.Tensor]:
    problems = []
    for step, found in checkpoint.newest_first(run.checkpoints):
        if isinstance(found, DamagedCheckpoint):
            problems.append(str(found))
            continue
        best = found.state["best_step"]
        if best not in (None, step):
            found = checkpoint.read(checkpoint.step_folder(run.checkpoints, best))
        return dict(found.model)
    if problems:
        raise ValueError(f"{run.folder} has no checkpoint that is whole: {'; '.join(problems)}")
    raise FileNotFoundError(f"{run.folder} has no checkpoint yet")
