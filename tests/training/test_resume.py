"""Stopping after any step, at any write, and resuming gives the same bits."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from torch import nn

from striate.data import Dataset, load
from striate.training import Config, checkpoint, fit, resume
from striate.training.run import Run

STEPS = 12
Toy = Callable[[], nn.Module]


def outcome(folder: Path) -> dict[str, bytes]:
    """All bytes that must be the same however often a run was stopped."""
    run = Run(folder)
    last = checkpoint.step_folder(run.checkpoints, checkpoint.saved_steps(run.checkpoints)[-1])
    files = [last / "model.safetensors", last / "optimizer.safetensors", last / "state.json"]
    files += [run.metrics.file, folder / "result.json"]
    return {file.name: file.read_bytes() for file in files}


def in_child(work: Callable[[], object]) -> int:
    """Run something in a forked child; returns its exit status, negative for the signal that killed it."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            work()
            status = 0
        except SystemExit as error:
            status = int(error.code or 0)
        except KeyboardInterrupt:
            status = 130
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def signalling(step: int, *numbers: int) -> Callable[[int], None]:
    """An `on_step` that sends signals to its own process after a step."""

    def on_step(taken: int) -> None:
        if taken == step:
            for number in numbers:
                os.kill(os.getpid(), number)

    return on_step


@pytest.fixture(scope="module")
def straight(
    tmp_path_factory: pytest.TempPathFactory, toy_data: Dataset, toy_config: Config, toy_network: Toy
) -> dict[str, bytes]:
    """What a run that is never stopped comes to."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    fit(toy_network(), toy_data, toy_config, out=folder, report=False)
    return outcome(folder)


@pytest.fixture(params=["memory", "files, 0 workers", "files, 2 workers"])
def task(
    request: pytest.FixtureRequest, toy_data: Dataset, toy_files: Dataset, toy_config: Config
) -> tuple[Dataset, Config]:
    """Data in memory, or in files read with and without workers."""
    workers = 2 if "2" in request.param else 0
    return (toy_data if request.param == "memory" else toy_files), dataclasses.replace(toy_config, workers=workers)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_killed_at_every_step(
    tmp_path: Path, toy_network: Toy, task: tuple[Dataset, Config], straight: dict[str, bytes], number: int, status: int
) -> None:
    data, config = task
    fit(toy_network(), data, config, out=tmp_path / "straight", report=False)
    expected = outcome(tmp_path / "straight")
    assert expected["model.safetensors"] == straight["model.safetensors"]
    for step in range(1, STEPS + 1):
        folder = tmp_path / str(step)
        run = partial(fit, toy_network(), data, config, out=folder, report=False, on_step=signalling(step, number))
        assert in_child(run) == status
        if number == signal.SIGTERM:
            assert checkpoint.saved_steps(folder / "checkpoints")[-1] == step
        result = resume(folder, model=toy_network(), data=data, report=False)
        assert outcome(folder) == expected
        assert result.evaluation.part == "test"


def test_killed_at_every_write(
    tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config, straight: dict[str, bytes]
) -> None:
    def killed_at(folder: Path, call: int) -> None:
        calls = 0
        synchronise = os.fsync

        def counted(descriptor: int) -> None:
            nonlocal calls
            calls += 1
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            synchronise(descriptor)

        os.fsync = counted
        fit(toy_network(), toy_data, toy_config, out=folder, report=False)

    call, began = 1, 0
    while in_child(partial(killed_at, tmp_path / str(call), call)) == -9:
        folder = tmp_path / str(call)
        if (folder / "config.json").exists():
            began += 1
            resume(folder, model=toy_network(), data=toy_data, report=False)
            assert outcome(folder) == straight
            assert not list(folder.rglob(".*"))
        call += 1
    assert began > 20


def test_stopped_twice(
    tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config, straight: dict[str, bytes]
) -> None:
    folder = tmp_path / "run"
    first = partial(fit, toy_network(), toy_data, toy_config, out=folder, on_step=signalling(3, signal.SIGINT))
    assert in_child(first) == 130
    second = partial(resume, folder, model=toy_network(), data=toy_data, on_step=signalling(8, signal.SIGTERM))
    assert in_child(second) == 143
    resume(folder, model=toy_network(), data=toy_data, report=False)
    assert outcome(folder) == straight


def test_a_second_signal_leaves_at_once(
    tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config
) -> None:
    folder = tmp_path / "run"
    stop = signalling(3, signal.SIGTERM, signal.SIGINT)
    status = in_child(lambda: fit(toy_network(), toy_data, toy_config, out=folder, report=False, on_step=stop))
    assert status == 130
    assert checkpoint.saved_steps(folder / "checkpoints") == [0]


@pytest.fixture
def stopped(tmp_path: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config) -> Path:
    """A run that was stopped after step 8, with checkpoints of steps 6 (the best) and 8."""
    folder = tmp_path / "run"
    stop = signalling(8, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(toy_network(), toy_data, toy_config, out=folder, report=False, on_step=stop)
    assert checkpoint.saved_steps(folder / "checkpoints") == [6, 8]
    return folder


FILES = ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"]


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("steps", [(8,), (6,), (6, 8)])
@pytest.mark.parametrize("name", FILES)
def test_damaged_checkpoint(
    stopped: Path,
    toy_network: Toy,
    toy_data: Dataset,
    straight: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    steps: tuple[int, ...],
    name: str,
) -> None:
    for step in steps:
        damage(checkpoint.step_folder(stopped / "checkpoints", step) / name)
    resume(stopped, model=toy_network(), data=toy_data, report=False, verbose=True)
    assert outcome(stopped) == straight
    said = capsys.readouterr().out
    assert f"the checkpoint of step {steps[-1]} is passed over" in said
    if (damage, name) != (flip, "manifest.json"):
        assert name in said


def test_altered_metrics(stopped: Path, toy_network: Toy, toy_data: Dataset, straight: dict[str, bytes]) -> None:
    flip(stopped / "metrics.jsonl")
    resume(stopped, model=toy_network(), data=toy_data, report=False)
    assert outcome(stopped) == straight


def test_metrics_are_cut_back(stopped: Path, toy_network: Toy, toy_data: Dataset, straight: dict[str, bytes]) -> None:
    with (stopped / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 2, "step": 9, "half a li')
    resume(stopped, model=toy_network(), data=toy_data, report=False)
    assert outcome(stopped) == straight


def test_finished_run_is_left_as_it_is(
    stopped: Path, toy_network: Toy, toy_data: Dataset, straight: dict[str, bytes]
) -> None:
    for _ in range(2):
        resume(stopped, model=toy_network(), data=toy_data, report=False)
        assert outcome(stopped) == straight


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threads": 2}, "threads was 1 and is 2"),
        ({"precision": "bfloat16"}, "precision was 'float32' and is 'bfloat16'"),
        ({"lr": 0.1, "epochs": 3}, "epochs was 2 and is 3; lr was 0.05 and is 0.1"),
        ({"augment": None}, "augment was Augmentation.* and is None"),
    ],
)
def test_other_settings_are_refused(
    stopped: Path, toy_network: Toy, toy_data: Dataset, toy_config: Config, changed: dict[str, object], message: str
) -> None:
    config = dataclasses.replace(toy_config, **changed)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"cannot go on with other settings: {message}"):
        resume(stopped, model=toy_network(), data=toy_data, config=config, report=False)


def test_workers_may_change(
    stopped: Path,
    toy_network: Toy,
    toy_files: Dataset,
    toy_data: Dataset,
    toy_config: Config,
    straight: dict[str, bytes],
) -> None:
    config = dataclasses.replace(toy_config, workers=2, threads=None, precision="auto")
    resume(stopped, model=toy_network(), data=toy_data, config=config, report=False)
    assert outcome(stopped) == straight


def test_an_edited_config_is_refused(stopped: Path, toy_network: Toy, toy_data: Dataset) -> None:
    config = json.loads((stopped / "config.json").read_text())
    config["training"]["lr"] = 0.5
    (stopped / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"cannot go on with other settings: lr was 0.05 and is 0.5"):
        resume(stopped, model=toy_network(), data=toy_data, report=False)


def test_data_named_by_a_relative_path(
    tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch, toy_config: Config
) -> None:
    monkeypatch.chdir(toy_folder.parent)
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit("lenet5", toy_folder.name, toy_config, out=folder, size=12, on_step=signalling(8, signal.SIGINT))
    monkeypatch.chdir(tmp_path)
    assert resume(folder, report=False).evaluation.part == "test"


def test_other_data_are_refused(stopped: Path, toy_network: Toy, toy_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(toy_folder, other)
    flipped = sorted((other / "red").iterdir())[0]
    shutil.copy(other / "blue" / flipped.name, flipped)
    with pytest.raises(ValueError, match=rf"the data of .* have changed: .*red/{flipped.name}"):
        resume(stopped, model=toy_network(), data=load(other, seed=3), report=False)


def test_another_network_is_refused(stopped: Path, toy_data: Dataset) -> None:
    with pytest.raises(ValueError, match=r"cannot go on with other settings: model was 'ToyNetwork' and is 'Linear'"):
        resume(stopped, model=nn.Linear(2, 2), data=toy_data, report=False)
    with pytest.raises(ValueError, match=r"ToyNetwork is not a network of striate.models: give the module"):
        resume(stopped, data=toy_data, report=False)


def test_newer_run_is_refused(stopped: Path, toy_network: Toy, toy_data: Dataset) -> None:
    config = json.loads((stopped / "config.json").read_text())
    (stopped / "config.json").write_text(json.dumps({**config, "format": 2, "striate": "9.0"}))
    with pytest.raises(ValueError, match=r"was written by Striate 9.0 in format 2; this is .* which reads format 1"):
        resume(stopped, model=toy_network(), data=toy_data, report=False)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a run folder: it has no config.json"):
        resume(tmp_path)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_real_process(tmp_path: Path, toy_folder: Path, number: int, status: int) -> None:
    config = Config(epochs=40, batch_size=6, precision="float32", threads=1)
    straight = tmp_path / "straight"
    fit("lenet5", toy_folder, config, out=straight, size=12, report=False)
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "striate"]
    options = f"--epochs 40 --batch-size 6 --precision float32 --threads 1 --size 12 --out {folder}"
    with subprocess.Popen([*command, "train", str(toy_folder), *options.split()], stdout=subprocess.DEVNULL) as process:
        while not (Run(folder).metrics.records() or process.poll() is not None):
            time.sleep(0.001)
        process.send_signal(number)
        assert process.wait(60) == status
    subprocess.run([*command, "resume", str(folder)], check=True, stdout=subprocess.DEVNULL)
    assert outcome(folder) == outcome(straight)
