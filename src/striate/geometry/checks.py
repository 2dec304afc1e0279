"""The checks that every setting passes."""


def check_integer(name: str, value: object, least: int) -> None:
    """Refuse what is no integer, or is below ``least``.

    Args:
        name: the setting, for the message.
        value: what came.
        least: the smallest value allowed.

    Raises:
        TypeError: if the value is not an integer; a bool is none.
        ValueError: if the value is below the least.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer of at least {least}, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value}")


def check_size(n: int) -> None:
    """Refuse an empty input; ``n`` may be a symbolic integer, so its type is not asked for.

    Args:
        n: the size of the input.

    Raises:
        ValueError: if the size is below 1.
    """
    if n < 1:
        raise ValueError(f"the input size must be at least 1, got {n}")
