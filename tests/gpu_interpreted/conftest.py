"""Kernels in Triton's interpreter: only in a process that says so before Triton is imported.

`tests/ops/test_gpu_rooms.py` starts that process.
"""

import os

if os.environ.get("TRITON_INTERPRET") != "1":
    collect_ignore_glob = ["test_*.py"]
