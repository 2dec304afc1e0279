"""The deformable operators on a GPU, on the cases that Triton's interpreter runs elsewhere."""

import pytest
import torch

from gpu_interpreted.test_deformed import CASES
from ops.checks import assert_close, check_deterministic, gradients_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU for CUDA here")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_gpu_outputs_and_gradients(case: str, dtype: torch.dtype) -> None:
    call, definition, tensors = CASES[case]()
    own = [tensor.to(dtype) for tensor in tensors]
    wide = [tensor.double() for tensor in own]
    device = [tensor.cuda() for tensor in own]
    assert_close(call(*device).cpu(), definition(*wide), dtype)
    for found, expected in zip(gradients_of(call, *device), gradients_of(definition, *wide), strict=True):
        assert_close(found.cpu(), expected, dtype)


@pytest.mark.parametrize("case", ["plain", "depthwise", "aggregate"])
def test_gpu_gradients_are_deterministic_where_pytorch_is_told(case: str) -> None:
    call, _, tensors = CASES[case]()
    torch.use_deterministic_algorithms(True)
    try:
        check_deterministic(call, *(tensor.float().cuda() for tensor in tensors), threads=False)
    finally:
        torch.use_deterministic_algorithms(False)
