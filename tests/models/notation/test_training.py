"""A run of a network that is a text: begun, carried on and used."""

from pathlib import Path

import pytest
import torch

from striate import training
from striate.training import Config, plan

TEXT = "conv 4 3x3 same /2, relu, maxpool 2, flatten, linear classes"
CONFIG = Config(epochs=1, augment=None, threads=1, precision="float32")


def test_plan():
    planned = plan("input 3x20x20, conv 4 3x3, globalavg, linear classes", "digits", CONFIG)
    assert (planned.model_name, planned.data.size, planned.data.channels) == ("notation", (20, 20), 1)
    assert planned.model_options["in_channels"] == 1


def test_a_fault_in_the_text_is_shown():
    with pytest.raises(ValueError, match="there is no word covn: did you mean conv"):
        plan("covn 4 3x3, flatten", "digits", CONFIG)
    with pytest.raises(ValueError, match="gives 5 scores, but num_classes is 10: write classes"):
        plan("flatten, linear 5", "digits", CONFIG)
    with pytest.raises(ValueError, match="takes series and gives classes: training takes networks of pictures"):
        plan("input 1x20, flatten, linear classes", "digits", CONFIG)


def test_run_is_carried_on_and_loaded(tmp_path: Path):
    def stop(step: int) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.fit(TEXT, "digits", CONFIG, out=tmp_path / "run", report=False, on_step=stop)
    result = training.resume(tmp_path / "run", report=False)
    trained = training.load_trained(tmp_path / "run")
    assert trained.model.config.text == TEXT
    for name, value in result.model.state_dict().items():
        assert torch.equal(trained.model.state_dict()[name], value)
