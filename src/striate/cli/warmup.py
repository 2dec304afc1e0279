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

    from striate.ops.avg_pool import avg_pool2d
    from striate.ops.conv import conv2d
    from striate.ops.deform_aggregate import deform_aggregate2d
    from striate.ops.deform_conv import deform_conv2d
    from striate.ops.local_contrast_norm import local_contrast_norm
    from striate.ops.local_conv import local_conv2d
    from striate.ops.local_conv_transpose import local_conv_transpose2d
    from striate.ops.local_response_norm import local_response_norm
    from striate.ops.lp_pool import lp_pool2d
    from striate.ops.max_pool import max_pool2d
    from striate.ops.max_unpool import max_unpool2d

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

    def lp_pool(dtype: torch.dtype) -> None:
        # In the range of the numbers, and out of it.
        for size in (1.0, 1e-30 if dtype == torch.float32 else 1e-300):
            with_gradients(lambda i: lp_pool2d(i, 2, 2), torch.full((1, 1, 4, 4), size, dtype=dtype))

    def pool(dtype: torch.dtype) -> None:
        maps = torch.ones(1, 2, 6, 6, dtype=dtype)
        # Each memory format has kernels of its own, and so has a window of many taps.
        for own in (maps, maps.contiguous(memory_format=torch.channels_last)):
            for kernel, sides in ((2, ((1, 0), (0, 1))), (16, ((10, 5), (5, 5)))):
                max_pool2d(own, kernel, 1, sides)
                with_gradients(lambda i, k=kernel, s=sides: max_pool2d(i, k, 1, s), own.clone())
            with_gradients(lambda i: avg_pool2d(i, 2, 1, ((1, 0), (0, 1))), own.clone())
            largest, indices = max_pool2d(own.detach(), 2, return_indices=True)
            with_gradients(lambda v, i=indices: max_unpool2d(v, i, 2), largest)

    def local_norm(dtype: torch.dtype) -> None:
        with_gradients(lambda i: local_response_norm(i, 3), torch.ones(1, 2, 4, 4, dtype=dtype))
        with_gradients(lambda i: local_contrast_norm(i, 3), torch.ones(1, 2, 4, 4, dtype=dtype))

    wide, also_low = ("float32", "float64"), ("float32", "float64", "bfloat16")
    return [
        ("depthwise convolution", wide, depthwise),
        ("deformable convolution", also_low, deform_conv),
        ("deformable aggregation", also_low, deform_aggregate),
        ("unshared convolution", wide, local_conv),
        ("local normalisation", wide, local_norm),
        ("norm pooling", wide, lp_pool),
        ("pooling", wide, pool),
    ]
