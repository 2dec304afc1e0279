"""The loop: steps, epochs, checkpoints."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from striate.data import Batch, Dataset, Normalization, Part, batch_count, batches
from striate.training import checkpoint
from striate.training.allocator import memory_kept
from striate.training.checkpoint import Checkpoint, DamagedCheckpoint
from striate.training.config import Config, learning_rate
from striate.training.evaluation import Evaluation, evaluate_part
from striate.training.loss import classification_loss
from striate.training.plan import decoders
from striate.training.precision import Decided
from striate.training.progress import Progress
from striate.training.run import Run
from striate.training.signals import StopRequest

_STEPS_BETWEEN_RECORDS = 50


@dataclass(slots=True)
class State:
    """All that changes during a run, besides the weights and the optimizer.

    The order of samples, the augmentation, dropout and the learning rate are pure functions of the seed and the step,
    so there is no random state to keep.
    """

    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    best_step: int | None = None
    best_accuracy: float = -1.0
    best_loss: float = 0.0

    def means(self) -> tuple[float, float]:
        """Loss and accuracy on the training samples of the epoch so far."""
        return self.loss_sum / self.seen, self.correct / self.seen


class Trainer:
    """Takes a model from any step of a run to its end."""

    def __init__(
        self,
        *,
        model: nn.Module,
        data: Dataset,
        normalization: Normalization,
        config: Config,
        run: Run,
        identity: Mapping[str, Any],
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        self.model = model
        self.data = data
        self.normalization = normalization
        self.config = config
        self.precision: Decided = "bfloat16" if config.precision == "bfloat16" else "float32"
        self.device = torch.device(config.device)
        self.run = run
        self.identity = identity
        self.on_step = on_step
        self.workers = decoders(config.workers)
        self.state = State()
        self.steps_an_epoch = batch_count(len(data.parts["train"]), config.batch_size)
        self.total = config.epochs * self.steps_an_epoch
        self.optimizer = _optimizer(model, config)
        self._saved_at = time.monotonic()

    def restore(self) -> list[str]:
        """Go back to the newest checkpoint that is whole; to the beginning if there is none.

        Returns:
            A sentence for each damaged checkpoint that was passed over.

        Raises:
            ValueError: if the checkpoint belongs to other settings, another model or other data.
        """
        checkpoints, passed_over = self.run.checkpoints, {}
        checkpoint.clear_partial(checkpoints)
        kept = 0
        for step, found in checkpoint.newest_first(checkpoints):
            if isinstance(found, DamagedCheckpoint):
                passed_over[step] = f"the checkpoint of step {step} is passed over: {found}"
                continue
            state = dict(found.state)
            metrics, identity = state.pop("metrics"), state.pop("identity")
            self.run.check_same(identity, self.identity)
            if not self.run.metrics.holds(metrics):
                passed_over[step] = f"the checkpoint of step {step} is passed over: {self.run.metrics.file} was altered"
                continue
            checkpoint.restore(self.model, self.optimizer, found)
            self.state = State(**state)
            kept = metrics["bytes"]
            break
        checkpoint.discard(checkpoints, passed_over)
        self.run.metrics.cut(kept)
        self.run.times.replace([row for row in self.run.times.records() if row["step"] <= self.state.step])
        return list(passed_over.values())

    def train(self, progress: Progress) -> None:
        """Take all steps that are left; write checkpoints on the way.

        Args:
            progress: told of every step and epoch.

        Raises:
            KeyboardInterrupt: after SIGINT, once the step is done and its checkpoint written.
            SystemExit: likewise after SIGTERM, with status 143.
            OSError: if a checkpoint cannot be written.
            ValueError: if the loss is no longer finite.
        """
        with StopRequest() as request, progress, memory_kept():
            if self.state.step == 0:
                self.save()
            begun, samples = time.perf_counter(), 0
            for batch, epoch in self._batches_left():
                self._step(batch, epoch)
                samples += len(batch.labels)
                progress.step(self.state.step, *self.state.means(), len(batch.labels))
                if self.on_step is not None:
                    self.on_step(self.state.step)
                epoch_ends = self.state.step % self.steps_an_epoch == 0
                due = time.monotonic() - self._saved_at > self.config.checkpoint_seconds
                if not (epoch_ends or due or request.signal):
                    continue
                seconds = time.perf_counter() - begun
                self.run.times.append({"epoch": epoch + 1, "step": self.state.step, "seconds": round(seconds, 3)})
                if epoch_ends:
                    progress.epoch(self._end_epoch(epoch), samples / seconds)
                self.save()
                if request.signal:
                    break
                begun, samples = time.perf_counter(), 0
        request.leave()

    def _batches_left(self) -> Iterator[tuple[Batch, int]]:
        while self.state.step < self.total:
            epoch, start = divmod(self.state.step, self.steps_an_epoch)
            for batch in batches(
                self.data,
                "train",
                batch_size=self.config.batch_size,
                seed=self.config.seed,
                epoch=epoch,
                start=start,
                workers=self.workers,
            ):
                yield batch, epoch

    def prepare(self, batch: Batch, epoch: int) -> Tensor:
        """The network's input: normalised, and in training changed at random as (seed, epoch, sample) says."""
        pictures = self.normalization(batch.pictures.to(self.device))
        if self.config.augment is None:
            return pictures
        return self.config.augment(pictures, batch.samples, seed=self.config.seed, epoch=epoch)

    def _step(self, batch: Batch, epoch: int) -> None:
        state = self.state
        lr = learning_rate(self.config, state.step, self.steps_an_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self._seed(step_seed(self.config.seed, state.step))
        pictures, labels = self.prepare(batch, epoch), batch.labels.to(self.device)
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            found = self.model(pictures)
        loss, scores = classification_loss(found, labels, self.config.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        value = loss.item()
        if not math.isfinite(value):
            raise ValueError(
                f"the loss is {value} at step {state.step + 1} (epoch {epoch + 1}), lr {lr:g}: "
                f"try a lower lr than {self.config.lr:g}; the weights of the last checkpoint are untouched"
            )
        self.optimizer.step()
        state.step += 1
        state.loss_sum += value * len(labels)
        state.correct += int((scores.argmax(1) == labels).sum())
        state.seen += len(labels)
        if state.step % _STEPS_BETWEEN_RECORDS == 0:
            self.run.metrics.append({"epoch": epoch + 1, "step": state.step, "lr": lr, "loss": value})

    def _seed(self, seed: int) -> None:
        # torch.manual_seed would also queue a call for every GPU that is not in use, with a traceback, at every step.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _end_epoch(self, epoch: int) -> dict[str, Any]:
        state = self.state
        loss, accuracy = state.means()
        lr = learning_rate(self.config, state.step - 1, self.steps_an_epoch)
        record = {"epoch": epoch + 1, "step": state.step, "lr": lr}
        record |= {"train_loss": loss, "train_accuracy": accuracy}
        if len(self.data.parts["val"]):
            validation = self.evaluate("val")
            record |= {"val_loss": validation.loss, "val_accuracy": validation.accuracy}
            if (validation.accuracy, -validation.loss) > (state.best_accuracy, -state.best_loss):
                state.best_step = state.step
                state.best_accuracy, state.best_loss = validation.accuracy, validation.loss
        state.loss_sum, state.correct, state.seen = 0.0, 0, 0
        self.run.metrics.append(record)
        return record

    def evaluate(self, part: Part) -> Evaluation:
        """Measure the model, as it is now, on a part of the data."""
        return evaluate_part(
            self.model, self.data, part, self.normalization, precision=self.precision, workers=self.workers
        )

    def save(self) -> None:
        """Write a checkpoint of this step and delete those no longer needed."""
        state = {**asdict(self.state), "metrics": self.run.metrics.mark(), "identity": dict(self.identity)}
        tensors = Checkpoint(
            model=checkpoint.model_tensors(self.model),
            optimizer=checkpoint.optimizer_tensors(self.model, self.optimizer),
            state=state,
        )
        checkpoint.write(self.run.checkpoints, self.state.step, tensors)
        checkpoint.rotate(self.run.checkpoints)
        self._saved_at = time.monotonic()

    def load_best(self) -> int:
        """Put the best weights on the validation part into the model; the last ones where there is no such part.

        Returns:
            The step that they come from.
        """
        step = self.state.step if self.state.best_step is None else self.state.best_step
        if step != self.state.step:
            best = checkpoint.read(checkpoint.step_folder(self.run.checkpoints, step))
            self.model.load_state_dict(best.model)
        return step


def step_seed(seed: int, step: int) -> int:
    """The seed of everything random inside the network at a step."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=7).digest())


def _optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Gradient descent with momentum; the penalty spares biases and normalisation, which have one axis or none.

    Raises:
        ValueError: if there is nothing to train.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("the model has no parameter to train: all are frozen, or there are none")
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD([g for g in groups if g["params"]], lr=config.lr, momentum=config.momentum, fused=True)
