"""Names without what wrappers have put before them."""

from collections import Counter
from collections.abc import Iterator

# What lies around a layer, anywhere in its name: DataParallel and DDP, torch.compile, FSDP, activation checkpoints.
_AROUND = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# What a checkpoint, a trainer or a larger network calls the whole.
_WHOLE = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "backbone", "encoder"),
    *("model_ema", "state_dict_ema", "ema_state_dict", "ema"),
)
_DEEPEST = 32


def unwrapped(name: str) -> str:
    """A name without the parts that lie around layers."""
    # Most have none, and a hostile one has hundreds of parts.
    if not any(part in name for part in _AROUND):
        return name
    return ".".join(part for part in name.split(".") if part not in _AROUND)


def prefixes(name: str) -> Iterator[str]:
    """What may stand before the network's own name, from nothing to the longest."""
    end = 0
    yield ""
    for _ in range(_DEEPEST):
        dot = name.find(".", end)
        if dot < 0 or name[end:dot] not in _WHOLE:
            return
        end = dot + 1
        yield name[:end]


def preferred(prefix: str) -> tuple[int, bool, str]:
    """Of prefixes that fit equally, the one with the least key: the shortest, and the weights before their mean."""
    return prefix.count("."), "ema" in prefix, prefix


def parts_of(name: str, ours: str) -> list[str]:
    """The parts of wrappers in the name of a tensor in a file that its name in the network has not."""
    others = Counter(name.split(".")) - Counter(ours.split("."))
    return [f"{part}." for part in others if part in _AROUND or part in _WHOLE]
