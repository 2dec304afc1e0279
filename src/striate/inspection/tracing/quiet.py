"""Runs on tensors without numbers that print nothing and are not held up."""

import contextlib
import gc
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep PyTorch from printing warnings, and the stack of an operation that does not run: failures are explained."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage.

    A collection looks at all objects of PyTorch, which takes longer than reading most networks, and when it comes would
    decide how long memory in cycles lives.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
