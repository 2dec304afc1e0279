"""How the CPU kernels are compiled: once a machine, and kept on disk."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Sums may be reordered and products fused, the same way at every run; NaN and infinity are not assumed away.
_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}


def _cache_somewhere() -> None:
    """Where neither the package nor the home can be written, keep the compiled code in a temporary folder."""
    settings: Any = config
    places = (Path(__file__).parent, Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")))
    if not settings.CACHE_DIR and not any(os.access(_existing(place), os.W_OK) for place in places):
        settings.CACHE_DIR = os.path.join(tempfile.gettempdir(), f"striate-kernels-{os.getuid()}")


def _existing(place: Path) -> Path:
    """The nearest folder above a place that exists."""
    return next(folder for folder in (place, *place.parents) if folder.exists())


_cache_somewhere()


def kernel(function: _Function) -> _Function:
    """Compile a kernel: without Python's lock, without bounds checks, cached on disk."""
    compiled: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath=_FASTMATH)(function)
    return cast(_Function, compiled)
