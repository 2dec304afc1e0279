import pytest
import torch

from striate import models
from striate.models import LeNet5, Summary


def test_one_a_network_in_the_order_of_their_names():
    rows = models.summaries()
    assert [row.name for row in rows] == models.names()
    for row in rows:
        config = models.config_of(row.name)
        assert row.input_size == (config.in_channels, *config.input_size)
        assert row.num_classes == config.num_classes
        assert row.takes in {"pictures": 3, "clips": 4, "series": 2}
        assert len(row.input_size) == {"pictures": 3, "clips": 4, "series": 2}[row.takes]
        assert row.gives in ("classes", "maps")
        assert row.parameters > 0


def test_a_row():
    (row,) = (row for row in models.summaries() if row.name == "lenet5")
    assert row == Summary(
        name="lenet5", takes="pictures", gives="classes", input_size=(1, 28, 28), num_classes=10, parameters=60_806
    )


def test_nothing_is_allocated(monkeypatch: pytest.MonkeyPatch):
    devices = set()
    build = LeNet5.__init__

    def watched(self: LeNet5, config: models.LeNet5Config) -> None:
        build(self, config)
        devices.update(value.device for value in self.state_dict().values())

    monkeypatch.setattr(LeNet5, "__init__", watched)
    models.summaries()
    assert devices == {torch.device("meta")}
