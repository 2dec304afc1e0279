"""What unshared convolution and its transpose ask of weight and bias."""

from collections.abc import Sequence

from torch import Tensor

from striate.ops._door import check_tensor


def check_weight(name: str, weight: Tensor, axes: int, places: str, channels: str) -> None:
    """See that a weight has weights for places and windows; `places` and `channels` name its first axes in the error.

    Raises:
        TypeError: if it is no tensor.
        ValueError: if it has not.
    """
    check_tensor(name, "weight", weight)
    if weight.ndim != 2 * axes + 2 or min(weight.shape) < 1:
        kernel = ", ".join(f"k{axis}" for axis in range(1, axes + 1))
        raise ValueError(
            f"{name}: weight must be (*{places}, {channels}, {kernel}) with {2 * axes + 2} axes, none 0, got "
            f"{tuple(weight.shape)}"
        )


def check_places(name: str, weight: Tensor, places: str, sizes: Sequence[int]) -> None:
    """See that a weight has a filter bank for every place.

    Raises:
        ValueError: if it has more or fewer.
    """
    if _differ(weight.shape[: len(sizes)], sizes):
        raise ValueError(
            f"{name}: the first axes of weight must be the {places} {tuple(sizes)}, got "
            f"{tuple(weight.shape[: len(sizes)])} in {tuple(weight.shape)}"
        )


def check_bias(name: str, bias: Tensor | None, out: int, sizes: Sequence[int]) -> None:
    """See that a bias has one number an output channel, or one a channel and place.

    Raises:
        ValueError: if it has not.
    """
    if bias is not None and _differ(bias.shape, (out,)) and _differ(bias.shape, (*sizes, out)):
        raise ValueError(f"{name}: bias must be ({out},) or {(*sizes, out)}, got {tuple(bias.shape)}")


def _differ(shape: Sequence[int], expected: Sequence[int]) -> bool:
    # Number by number: where they are symbolic, PyTorch's compiler compares tuples wrongly.
    return len(shape) != len(expected) or any(a != b for a, b in zip(shape, expected, strict=True))
