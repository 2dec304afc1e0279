"""From a finished run to its report."""

import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import striate
from striate.training.evaluation import Evaluation
from striate.training.plan import Plan
from striate.training.report import RunSummary, layer_table, write_report
from striate.training.run import Run


def write_story(run: Run, planned: Plan, evaluation: Evaluation, best_epoch: int) -> Path:
    """Gather what a run has seen and write its report; returns the report's path."""
    data, config = planned.data, planned.config
    samples = data.parts[evaluation.part]
    channels, (height, width) = data.channels, data.size

    def pictures(positions: Sequence[int]) -> NDArray[np.uint8]:
        raw = data.read(samples[torch.as_tensor(positions, dtype=torch.int64)]).double()
        levels = (raw / data.peak).clamp(0, 1) * 255
        return levels.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

    summary = RunSummary(
        name=run.folder.name,
        model=planned.model_name,
        source=data.source,
        classes=data.classes,
        counts={part: len(indices) for part, indices in data.parts.items()},
        input_size=(channels, height, width),
        settings=config.to_dict(),
        epochs=run.epochs(),
        best_epoch=best_epoch,
        seconds=sum(record["seconds"] for record in run.times.records()),
        part=evaluation.part,
        names=[data.names[i] for i in samples.tolist()],
        labels=evaluation.labels.numpy(),
        probabilities=evaluation.probabilities.numpy(),
        pictures=pictures,
        filters=_first_filters(planned.model),
        layers=layer_table(planned.model, (channels, height, width)),
        notes=data.notes,
        environment={
            "Striate": striate.__version__,
            "PyTorch": torch.__version__,
            "Python": platform.python_version(),
            "machine": f"{platform.machine()}, {platform.system()}",
        },
    )
    return write_report(run.folder, summary)


def _first_filters(model: nn.Module) -> NDArray[np.float32] | None:
    """The weights `(out, in, kernel height, kernel width)` of the first 2-D convolution."""
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    if first is None:
        return None
    weights: NDArray[np.float32] = first.weight.detach().float().cpu().numpy()
    return weights
