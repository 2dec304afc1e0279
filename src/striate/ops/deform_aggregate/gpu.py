"""Deformable aggregation on the GPU: samples are added up in registers as they are read."""

from torch import Tensor

from striate.ops._sampling.gpu import Samples, Window, add_up, empty_maps, rows
from striate.ops._sampling.gpu_gradients import backward as through_samples


def forward(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
) -> Tensor:
    """The sum of samples of `(N, C, *sizes)`, in the input's memory format."""
    window = Window(kernel_size, stride, low, dilation, offset_scale, remove_center)
    result = empty_maps(input, *input.shape[:2], *offset.shape[2:])
    add_up(Samples(input, offset, mask, window), None, None, result)
    return result


def backward(
    grad: Tensor,
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_size: list[int],
    stride: list[int],
    low: list[int],
    dilation: list[int],
    groups: int,
    offset_scale: float,
    remove_center: bool,
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of input, offset and mask; an empty tensor for one that is not needed."""
    samples = Samples(input, offset, mask, Window(kernel_size, stride, low, dilation, offset_scale, remove_center))
    grads = through_samples(samples, rows(grad), None, 0, input=needs[0], moves=needs[1] or needs[2])
    return samples.gradients(grads, input, offset, mask, needs)
