"""One file an architecture, and one way to build any of them by its name."""

from striate.models.lenet import LeNet5, LeNet5Config, lenet5
from striate.models.registry import config_of, create, name_of, names, rebuild

__all__ = ["LeNet5", "LeNet5Config", "config_of", "create", "lenet5", "name_of", "names", "rebuild"]
