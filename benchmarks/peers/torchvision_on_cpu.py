"""Make the published wheel of torchvision importable beside a CPU build of PyTorch, so that its operators can be timed.

The wheel links three CUDA libraries that a CPU build of PyTorch lacks. Its CPU operators never call them, so
empty stand-ins with the same names are enough. For benchmarks and comparisons only: never a dependency.

    from benchmarks.peers.torchvision_on_cpu import ops  # before the first `import torchvision`

Needs: gcc, torch==2.13.0 (CPU), and `make bench-peers`.
"""

import ctypes
import importlib
import importlib.util
import pathlib
import subprocess
import tempfile
from typing import Any

import torch

_FUNCTIONS = """
_ZN2at4cuda26getCurrentDevicePropertiesEv _ZN3c104cuda12device_countEv _ZN3c104cuda14ExchangeDeviceEa
_ZN3c104cuda14MaybeSetDeviceEa _ZN3c104cuda17getStreamFromPoolEba _ZN3c104cuda17getStreamFromPoolEia
_ZN3c104cuda20getCurrentCUDAStreamEa _ZN3c104cuda20getDefaultCUDAStreamEa
_ZN3c104cuda20setCurrentCUDAStreamENS0_10CUDAStreamE _ZN3c104cuda29c10_cuda_check_implementationEiPKcS2_jb
_ZN3c104cuda9GetDeviceEPa _ZN3c104cuda9SetDeviceEab _ZNK3c104cuda10CUDAStream11synchronizeEv
_ZNK3c104cuda10CUDAStream5queryEv _ZNK3c104cuda10CUDAStream6streamEv
""".split()


def _build(directory: pathlib.Path, soname: str, source: str) -> None:
    code = directory / f"{soname}.c"
    code.write_text(source)
    library = directory / soname
    subprocess.run(["gcc", "-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", str(library), str(code)], check=True)
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


if not torch.version.cuda:
    _spec = importlib.util.find_spec("torchvision")
    if _spec is None or _spec.origin is None:
        raise ImportError("torchvision is not installed: make bench-peers")
    _libs = pathlib.Path(_spec.origin).parent.parent / "torchvision.libs"
    _directory = pathlib.Path(tempfile.mkdtemp(prefix="torchvision-on-cpu-"))
    for _cudart in _libs.glob("libcudart*"):
        ctypes.CDLL(str(_cudart), mode=ctypes.RTLD_GLOBAL)
    _allocator = "long _ZN3c104cuda20CUDACachingAllocator9allocatorE[64];\n"
    _build(_directory, "libc10_cuda.so", _allocator + "\n".join(f"int {f}(void) {{ return 0; }}" for f in _FUNCTIONS))
    _build(_directory, "libtorch_cuda.so", "int torchvision_on_cpu;\n")

ops: Any = importlib.import_module("torchvision.ops")
"""torchvision's operators."""
