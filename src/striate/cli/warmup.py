"""`striate warmup`: compile all kernels now, not at their first use."""

from collections.abc import Callable


def warmup() -> None:
    """Compile the CPU kernels and keep them on disk, so that no first call has to wait."""
    import time

    import torch

    begun = time.perf_counter()
    for name, dtypes, run in _kernels():
        for dtype in dtypes:
            run(getattr(torch, dtype))
            print(f"{name}, {dtype}: ready")
    print(f"{time.perf_counter() - begun:.1f} s")


def _kernels() -> list[tuple[str, tuple[str, ...], Callable[..., None]]]:
    """Operators that have kernels, the dtypes for which these differ, and what makes Numba compile them."""
    import torch
    from torch import Tensor

    from striate.ops.conv import conv2d
    from striate.ops.deform_aggregate import deform_aggregate2d
    from striate.ops.deform_conv import deform_conv2d
    from striate.ops.local_conv import local_conv2d
    from striate.ops.local_conv_transpose import local_conv_transpose2d

    def with_gradients(function: Callable[..., Tensor], *inputs: Tensor) -> None:
        leaves = [tensor.requires_grad_() for tensor in inputs]
        output = function(*leaves)
        torch.autograd.grad(output, leaves, torch.ones_like(output))

    def depthwise(dtype: torch.dtype) -> None:
        # Few planes, and sixteen at a time.
        for channels in (2, 16):
            maps, filters = torch.ones(1, channels, 4, 4, dtype=dtype), torch.ones(channels, 1, 3, 3, dtype=dtype)
            with_gradients(lambda i, w: conv2d(i, w, groups=i.shape[1]), maps, filters)

    def deform_conv(dtype: torch.dtype) -> None:
        offset, mask = torch.zeros(1, 18, 2, 2, dtype=dtype), torch.ones(1, 9, 2, 2, dtype=dtype)
        for into in (1, 2):
            maps, filters = torch.ones(1, 2, 4, 4, dtype=dtype), torch.ones(2, into, 3, 3, dtype=dtype)
            with_gradients(lambda i, o, w, m: deform_conv2d(i, o, w, mask=m), maps, offset, filters, mask)

    def deform_aggregate(dtype: torch.dtype) -> None:
        offset, mask = torch.zeros(1, 18, 2, 2, dtype=dtype), torch.ones(1, 9, 2, 2, dtype=dtype)
        maps = torch.ones(1, 2, 4, 4, dtype=dtype)
        with_gradients(lambda i, o, m: deform_aggregate2d(i, o, m, 3), maps, offset, mask)

    def local_conv(dtype: torch.dtype) -> None:
        # A few images of a long window, and many.
        weight = torch.ones(2, 2, 4, 4, 3, 3, dtype=dtype)
        for images in (1, 8, 16):
            with_gradients(local_conv2d, torch.ones(images, 4, 4, 4, dtype=dtype), weight)
            with_gradients(local_conv_transpose2d, torch.ones(images, 4, 2, 2, dtype=dtype), weight)

    wide, also_low = ("float32", "float64"), ("float32", "float64", "bfloat16")
    return [
        ("depthwise convolution", wide, depthwise),
        ("deformable convolution", also_low, deform_conv),
        ("deformable aggregation", also_low, deform_aggregate),
        ("unshared convolution", wide, local_conv),
    ]
