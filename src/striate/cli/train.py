"""`striate train`: from labelled pictures to a trained network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

if TYPE_CHECKING:
    from striate.data import Augmentation


def train(
    source: Annotated[str, Argument(help="digits, a folder with a sub-folder for each class, an .npz or a .csv file.")],
    model: Annotated[
        str, Option(help="Network to train: a name, or a text as 'conv 8 3x3, relu, flatten, linear classes'.")
    ] = "lenet5",
    epochs: Annotated[int, Option(help="Passes over the training part.")] = 60,
    batch_size: Annotated[int, Option(help="Samples a step.")] = 64,
    lr: Annotated[float, Option(help="Learning rate after the warm-up.")] = 0.1,
    schedule: Annotated[Literal["cosine", "step", "constant"], Option(help="How the learning rate falls.")] = "cosine",
    warmup: Annotated[float, Option(help="Epochs over which the learning rate rises.")] = 2.0,
    momentum: Annotated[float, Option(help="Momentum of the gradient descent.")] = 0.9,
    weight_decay: Annotated[float, Option(help="L2 penalty on the weights.")] = 5e-4,
    label_smoothing: Annotated[float, Option(help="Probability spread over all classes.")] = 0.1,
    augment: Annotated[bool, Option(help="Small random affine changes of the training pictures.")] = True,
    flip: Annotated[bool, Option(help="Also mirror half of them left to right.")] = False,
    seed: Annotated[int, Option(help="Of the split, weights, order, augmentation and dropout.")] = 0,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], Option(help="auto: bfloat16 if it is measured to be faster.")
    ] = "auto",
    threads: Annotated[int | None, Option(help="Threads of PyTorch; as many as it likes if not given.")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], Option(help="auto: the GPU if there is one.")] = "auto",
    workers: Annotated[
        int | None, Option(help="Processes that decode pictures that do not fit in memory; one a core if not given.")
    ] = None,
    size: Annotated[
        str | None, Option(help="Height and width of the pictures, as 28 or 28x40; the network's own if not given.")
    ] = None,
    out: Annotated[Path | None, Option(help="Run folder; runs/DATA-MODEL if not given.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Print the plan and the memory it needs, and stop.")] = False,
) -> None:
    """Train a network and write a run folder with checkpoints and a report."""
    from striate.cli.outcome import show
    from striate.training import Config, carry_out, plan
    from striate.training.memory import describe_memory
    from striate.training.run import check_new

    config = Config(
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        schedule=schedule,
        warmup=warmup,
        momentum=momentum,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        augment=_augmentation(augment, flip),
        seed=seed,
        precision=precision,
        threads=threads,
        device=device,
        workers=workers,
    )
    if out is not None:
        check_new(out)
    planned = plan(model, source, config, size=parse_size(size))
    print(planned.describe())
    if dry_run:
        print(describe_memory(planned))
        return
    show(carry_out(planned, out=out, verbose=True))


def _augmentation(augment: bool, flip: bool) -> "Augmentation | None":
    """The augmentation that two flags ask for.

    Raises:
        ValueError: if they contradict each other.
    """
    from striate.data import Augmentation

    if flip and not augment:
        raise ValueError("--flip is part of the augmentation: it cannot go with --no-augment")
    return Augmentation(flip=flip) if augment else None


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read `28` or `28x40` as height and width.

    Raises:
        ValueError: if the text is neither.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise ValueError(f"--size must be like 28 or 28x40, got {text!r}")
    return int(sides[0]), int(sides[-1])
