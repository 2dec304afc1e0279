"""The windows of adaptive pooling: any input size to a wished output size."""

from striate.geometry.checks import check_integer, check_size


def adaptive_windows(n: int, out: int) -> tuple[range, ...]:
    """The inputs that each output of adaptive pooling reads, as PyTorch divides them.

    Args:
        n: the input size, at least 1.
        out: the output size, at least 1.

    Returns:
        One range an output, from ``floor(i * n / out)`` up to ``ceil((i + 1) * n / out)``. They cover the input without
        gaps, and overlap where ``out`` does not divide ``n``.

    Raises:
        TypeError: if the output size is not an integer.
        ValueError: if either size is below 1.

    Example:
        >>> adaptive_windows(5, 3)
        (range(0, 2), range(1, 4), range(3, 5))
    """
    check_size(n)
    check_integer("out", out, 1)
    return tuple(range(i * n // out, -(-(i + 1) * n // out)) for i in range(out))
