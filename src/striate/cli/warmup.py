"""`striate warmup`: compile all kernels now, not at their first use."""


def warmup() -> None:
    """Compile the CPU kernels and keep them on disk, so that no first call has to wait."""
    import time

    import torch

    from striate.ops.conv import conv2d

    begun = time.perf_counter()
    for dtype in (torch.float32, torch.float64):
        maps = torch.ones(1, 2, 4, 4, dtype=dtype, requires_grad=True)
        filters = torch.ones(2, 1, 3, 3, dtype=dtype, requires_grad=True)
        conv2d(maps, filters, groups=2).sum().backward()  # type: ignore[no-untyped-call]
        print(f"depthwise convolution, {str(dtype).removeprefix('torch.')}: ready")
    print(f"{time.perf_counter() - begun:.1f} s")
