"""The sizes of the input that a network is built for."""

_AXES = {1: "(L,)", 2: "(H, W)", 3: "(T, H, W)"}


def check_input_size(size: tuple[int, ...], axes: int, least: int = 1) -> None:
    """See that there is one size an axis, and that each is large enough.

    Args:
        size: of the input, without samples and channels.
        axes: 1 for series, 2 for pictures, 3 for clips.
        least: that each size may be.

    Raises:
        ValueError: if it is not so.
    """
    if len(size) != axes or any(side < least for side in size):
        raise ValueError(f"input_size must be {_AXES[axes]}, each at least {least}, got {tuple(size)}")
