"""Local response normalisation: the door."""

from typing import Literal, TypeAlias, get_args

from torch import Tensor

from striate.geometry.checks import check_integer
from striate.ops._door import announced
from striate.ops._normalization.checks import check_maps, check_number, choose, widened
from striate.ops.dispatch import take
from striate.ops.local_response_norm import reference
from striate.ops.local_response_norm.registered import normalize

AlphaMode: TypeAlias = Literal["mean", "sum"]
Even: TypeAlias = Literal["torch", "onnx"]


@announced
def local_response_norm(
    input: Tensor,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    alpha_mode: AlphaMode = "mean",
    within_channel: bool = False,
    even: Even = "torch",
) -> Tensor:
    """Divide each number by a power of the squares around it: strong responses subdue their neighbours.

    `output[n, c, p] = input[n, c, p] / (k + a * sum over c' of input[n, c', p] ** 2) ** beta`, for the `size` channels
    c' around c that there are, and `a = alpha / size`, or `a = alpha` with `alpha_mode="sum"`. Within a channel the sum
    goes over a window of `size` places along each axis, zero outside, and `a = alpha / size ** axes`.

    What others' settings are called here, as alpha means two things:

    ==========================================  =================================================================
    PyTorch, `LocalResponseNorm(n, a, b, k)`    `size=n, alpha=a, beta=b, k=k`
    ONNX, `LRN`, its `bias` is k                the same with `even="onnx"`
    Caffe, `LRN` across channels                `size=local_size`, and the rest under the same names
    Caffe, `LRN` within a channel               the same with `within_channel=True, k=1`: it has no k there
    AlexNet's paper, 2012                       `size=5, alpha=1e-4, beta=0.75, k=2, alpha_mode="sum"`
    cuda-convnet, across maps                   `alpha=scale, beta=pow, k=minDiv`: it divides its scale by the size
    TensorFlow, `local_response_normalization`  `size=2 * depth_radius + 1, k=bias, alpha_mode="sum"`
    ==========================================  =================================================================

    Args:
        input: `(N, C, *sizes)`, floating-point, with at most three sizes; a single picture must be given its batch.
        size: neighbours, the number itself among them, at least 1.
        alpha: factor of the sum of squares, at least 0.
        beta: exponent.
        k: what the sum is added to, at least 0. With 0 a number among zeros becomes NaN.
        alpha_mode: "mean" to divide alpha by the number of neighbours, "sum" to take it as it is.
        within_channel: whether the neighbours are places of the same channel.
        even: with an even size, whether the greater part lies before the number, "torch", or behind it, "onnx".

    Returns:
        The input's shape, dtype and memory format. Under autocast low precision becomes float32, as in PyTorch. As the
        formula has it, infinity becomes NaN, and neighbours of infinity and NaN are 0 and NaN.

    Raises:
        TypeError: if the input is not floating-point, the size no integer, or a number none.
        ValueError: if the rank does not fit, or a setting is out of its range.

    Source:
        Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NeurIPS
        2012, section 3.3; Caffe's `lrn_layer.cpp`, https://github.com/BVLC/caffe, for the sum within a channel.

    Example:
        >>> maps = torch.tensor([1.0, 2.0, 0.0]).view(1, 3, 1)
        >>> local_response_norm(maps, 3, alpha=3.0, beta=1.0).flatten()
        tensor([0.1667, 0.3333, 0.0000])
    """
    name = "local_response_norm"
    check_maps(name, input, spatial=within_channel)
    check_settings(name, size, alpha, beta, k, alpha_mode, even)
    low, high = (size // 2, (size - 1) // 2) if even == "torch" else ((size - 1) // 2, size // 2)
    neighbours = size ** (input.ndim - 2) if within_channel else size
    factor = alpha / neighbours if alpha_mode == "mean" else alpha
    route = take(name, choose(input, "PyTorch writes the squares, their sums and the powers out one after the other"))
    settings = low, high, float(factor), float(beta), float(k), within_channel
    if route.name == "reference":
        return reference.local_response_norm(widened(input), *settings)
    return normalize(widened(input), *settings)


def check_settings(
    name: str, size: int, alpha: float, beta: float, k: float, alpha_mode: AlphaMode, even: Even
) -> None:
    """See that settings are of their kinds and in their ranges.

    Args:
        name: of the operator or layer, for the message.
        size: as all that follow, as `local_response_norm` takes it.
        alpha: likewise.
        beta: likewise.
        k: likewise.
        alpha_mode: likewise.
        even: likewise.

    Raises:
        TypeError: if the size is no integer, or a number none.
        ValueError: if one is out of its range.
    """
    check_integer(f"{name}: size", size, 1)
    for setting, value, least in (("alpha", alpha, 0.0), ("beta", beta, -float("inf")), ("k", k, 0.0)):
        check_number(name, setting, value, least)
    for word, given, words in (("alpha_mode", alpha_mode, AlphaMode), ("even", even, Even)):
        if given not in get_args(words):
            raise ValueError(f"{name}: {word} must be one of {', '.join(get_args(words))}, got {given!r}")
