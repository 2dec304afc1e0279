"""A GPU that need not be there: Triton does all that it does on one up to the launch, and launches nothing.

Arguments are bound, tilings gone through, and machine code is made, of which registers, spills and instructions can be
read. Nothing is computed, and no time means anything.
"""

import contextlib
import functools
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

# Bytes of shared memory that a block may have, by architecture.
_SHARED = {75: 65536, 80: 166912, 90: 232448, 100: 232448}
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?\s*([A-Z][A-Z0-9_.]+)")


@dataclass(frozen=True)
class Launch:
    """A kernel as it would have been launched.

    Args:
        kernel: its name.
        programs: along the three axes of the grid.
        tiling: its `BLOCK_*` and other constants, warps and stages.
        shared: bytes of shared memory that are asked for at the launch.
        code: its machine code, as an ELF file.
    """

    kernel: str
    programs: tuple[int, int, int]
    tiling: dict[str, Any]
    shared: int
    code: bytes

    @functools.cached_property
    def usage(self) -> dict[str, int]:
        """Registers a thread (`REG`), and bytes a thread that found no place in them (`STACK`)."""
        told = _asked(triton.knobs.nvidia.cuobjdump.path, "-res-usage", self.code)
        return {name: int(number) for name, number in re.findall(r"\b(REG|STACK):(\d+)", told)}

    @functools.cached_property
    def instructions(self) -> list[str]:
        """The instructions in the order of the code, with what is said of their widths, without operands."""
        return _INSTRUCTION.findall(_asked(triton.knobs.nvidia.nvdisasm.path, "-c", self.code))


def _asked(tool: str, option: str, code: bytes) -> str:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        return subprocess.run([tool, option, file.name], capture_output=True, text=True, check=True).stdout


class _Tools:
    """What Triton asks of a device's driver, and how it launches."""

    def __init__(self, launches: list[Launch]) -> None:
        self._launches = launches

    def get_device_properties(self, device: int) -> dict[str, int]:
        return {"max_shared_mem": _SHARED.get(device, 101376), "multiprocessor_count": 100, "warpSize": 32}

    def load_binary(self, name: str, code: bytes, shared: int, device: int) -> tuple[Any, ...]:
        return None, (name, code, shared), 0, 0, 1024

    def launcher(self, source: Any, metadata: Any) -> Callable[..., None]:
        names = source.fn.arg_names
        constants = {names[path[0]]: value for path, value in source.constants.items() if len(path) == 1}
        tiling = {name: value for name, value in constants.items() if name.isupper()}
        tiling |= {"num_warps": metadata.num_warps, "num_stages": metadata.num_stages}

        def launch(x: int, y: int, z: int, stream: int, function: tuple[str, bytes, int], *_: Any) -> None:
            name, code, shared = function
            self._launches.append(Launch(name, (x, y, z), tiling, shared, code))

        return launch


class _Driver:
    """A driver for a GPU of some architecture, such as 90 for Hopper, which is its device's number, too."""

    def __init__(self, architecture: int, launches: list[Launch]) -> None:
        self._architecture, self.utils = architecture, _Tools(launches)
        self.launcher_cls = self.utils.launcher

    def get_current_device(self) -> int:
        return self._architecture

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self._architecture, 32)

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")

    def get_benchmarker(self) -> Callable[..., list[float]]:
        def bench(call: Callable[[], Any], quantiles: Any = None, **_: Any) -> list[float]:
            call()
            return [1.0, 1.0, 1.0]

        return bench


@contextlib.contextmanager
def pretended(architecture: int = 90) -> Iterator[list[Launch]]:
    """Let Triton launch on a GPU that is not there; what has been launched.

    The rooms of operators are to be called with tensors of the CPU, which are only looked at.
    """
    launches: list[Launch] = []
    before = driver._active
    driver.set_active(_Driver(architecture, launches))
    try:
        yield launches
    finally:
        driver.set_active(before)
