"""State dicts of mmcv's networks."""

from collections.abc import Mapping

from torch import Tensor, nn

from striate.nn.deform_conv import DeformConv2d


def from_mmcv(state_dict: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The state dict of a network of mmcv, old names included, under the names of ours.

    mmcv keeps the predictor of a layer `conv2` as `conv2.conv_offset`, as `DeformConv2d` does, and the channels lie in
    the same order: offsets first, y before x for each tap, then the numbers whose sigmoid is the mask. In old
    checkpoints the predictor stands beside the layer, as `conv2_offset`. While a state dict is loaded, a layer sees
    only the names below its own, so that these must be renamed beforehand, here.

    Args:
        state_dict: names and tensors; of a checkpoint of mmcv its entry "state_dict".
        module: the network that will load it.

    Returns:
        The same tensors; `conv2_offset.weight` and `.bias` have become `conv2.conv_offset.weight` and `.bias` for every
        `DeformConv2d` of the network that predicts.

    Raises:
        TypeError: if the state dict is no dict of tensors, or the network no module.
        ValueError: if a layer of the network has another `mask_init` than 0.5, and so other masks than mmcv's.

    Source:
        `_load_from_state_dict` in mmcv/ops/deform_conv.py and mmcv/ops/modulated_deform_conv.py.

    Example:
        >>> network = nn.ModuleDict({"conv2": DeformConv2d(2, 4, 3, predict=True)})
        >>> old = {name.replace(".conv_", "_"): tensor for name, tensor in network.state_dict().items()}
        >>> sorted(old)
        ['conv2.bias', 'conv2.weight', 'conv2_offset.bias', 'conv2_offset.weight']
        >>> network.load_state_dict(from_mmcv(old, network))
        <All keys matched successfully>
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict must be a dict of names and tensors, got {type(state_dict).__name__}")
    if isinstance(state_dict.get("state_dict"), Mapping):
        raise TypeError(
            f"state_dict must be a dict of names and tensors, got a checkpoint with {', '.join(state_dict)}: "
            "give its entry 'state_dict'"
        )
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    renamed = dict(state_dict)
    for name, layer in module.named_modules():
        if not isinstance(layer, DeformConv2d) or not layer.predict:
            continue
        if layer.mask_init != 0.5:
            raise ValueError(f"{name or 'the layer'} must have mask_init=0.5, as mmcv's has, got {layer.mask_init}")
        for which in ("weight", "bias"):
            old, new = f"{name}_offset.{which}", f"{name}.conv_offset.{which}"
            if old in renamed and new not in renamed:
                renamed[new] = renamed.pop(old)
    return renamed
