import dataclasses
import inspect
import json
import math

import pytest

from striate.cli.train import train
from striate.data import Augmentation
from striate.training import Config, learning_rate


@pytest.mark.parametrize("name", ["epochs", "batch_size", "seed", "workers", "threads"])
@pytest.mark.parametrize("value", [1.5, "3", True])
def test_whole_numbers(name: str, value: object):
    with pytest.raises(TypeError, match=f"{name} must be a whole number, got {value!r}"):
        Config(**{name: value})


@pytest.mark.parametrize("name", ["lr", "warmup", "momentum", "weight_decay", "label_smoothing", "checkpoint_seconds"])
@pytest.mark.parametrize("value", ["0.1", None, True])
def test_numbers(name: str, value: object):
    with pytest.raises(TypeError, match=f"{name} must be a number, got {value!r}"):
        Config(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "epochs must be at least 1, got 0"),
        ("batch_size", -3, "batch_size must be at least 1, got -3"),
        ("threads", 0, "threads must be at least 1, got 0"),
        ("seed", -1, "seed must be at least 0, got -1"),
        ("seed", 2**64, r"seed must be below 2\*\*64, got 18446744073709551616"),
        ("workers", -1, "workers must be at least 0, got -1"),
        ("lr", -0.1, "lr must be at least 0 and below inf, got -0.1"),
        ("lr", math.nan, "lr must be at least 0 and below inf, got nan"),
        ("lr", math.inf, "lr must be at least 0 and below inf, got inf"),
        ("warmup", -1, "warmup must be at least 0 and below inf, got -1"),
        ("momentum", 1.0, "momentum must be at least 0 and below 1, got 1"),
        ("weight_decay", math.inf, "weight_decay must be at least 0 and below inf, got inf"),
        ("label_smoothing", 1, "label_smoothing must be at least 0 and below 1, got 1"),
        ("checkpoint_seconds", -1.0, "checkpoint_seconds must be at least 0 and below inf, got -1"),
        ("schedule", "linear", "schedule must be one of cosine, step, constant, got 'linear'"),
        ("precision", "float16", "precision must be one of auto, float32, bfloat16, got 'float16'"),
        ("device", "tpu", "device must be one of auto, cpu, cuda, got 'tpu'"),
    ],
)
def test_out_of_range(name: str, value: object, message: str):
    with pytest.raises(ValueError, match=message):
        Config(**{name: value})


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cosine", [1 / 3, 2 / 3, 1.0, 0.9330127, 0.75, 0.5, 0.25, 0.0669873]),
        ("step", [1 / 3, 2 / 3, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]),
        ("constant", [1 / 3, 2 / 3, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_learning_rate(schedule: str, expected: list[float]):
    config = Config(epochs=4, lr=2.0, warmup=1, schedule=schedule)
    assert [learning_rate(config, step, 2) / 2 for step in range(8)] == pytest.approx(expected)


def test_warm_up_takes_half_the_run_at_most():
    config = Config(epochs=4, lr=1.0, warmup=100, schedule="constant")
    assert [learning_rate(config, step, 2) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_no_warm_up():
    assert learning_rate(Config(epochs=1, lr=0.5, warmup=0), 0, 1) == 0.5
    assert learning_rate(Config(epochs=9, lr=0.0), 3, 5) == 0.0


@pytest.mark.parametrize(
    "config",
    [Config(), Config(augment=None, threads=2), Config(augment=Augmentation(flip=True, scale=0.3), seed=2**64 - 1)],
)
def test_through_json(config: Config):
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_settings():
    with pytest.raises(ValueError, match="unknown training settings: colour, speed"):
        Config.from_dict({"speed": 1, "colour": 2})


def test_the_command_line_has_the_same_defaults():
    options = inspect.signature(train).parameters
    for field in dataclasses.fields(Config):
        if field.name not in ("augment", "checkpoint_seconds"):
            assert options[field.name].default == field.default, field.name
    assert Config().augment == Augmentation()
    assert options["augment"].default is True
    assert options["flip"].default is Augmentation().flip
