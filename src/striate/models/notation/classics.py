"""Networks of `striate.models` that are plain stacks, in the notation."""

_VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_VGG_FILTERS = (64, 128, 256, 512, 512)


def _vgg(depth: int, batch_norm: bool) -> str:
    norm = " bn," if batch_norm else ""
    banks = [
        f"{count}*(conv {filters} 3x3 pad 1,{norm} relu), maxpool 2"
        for count, filters in zip(_VGG[depth], _VGG_FILTERS, strict=True)
    ]
    return (
        f"input 3x224x224, {', '.join(banks)}, adaptiveavg 7, flatten, 2*(linear 4096, relu, dropout 0.5), "
        "linear classes"
    )


CLASSICS: dict[str, str] = {
    "lenet5": """
        input 1x28x28,
        conv 6 5x5 pad 2, tanh, avgpool 2,
        table 16 5x5 lenet5_c3, tanh, avgpool 2,
        conv 120 5x5, tanh, flatten,
        linear 84, tanh, linear classes
    """,
    "alexnet": """
        input 3x224x224,
        conv 64 11x11 /4 pad 2, relu, maxpool 3 /2,
        conv 192 5x5 pad 2, relu, maxpool 3 /2,
        conv 384 3x3 pad 1, relu, 2*(conv 256 3x3 pad 1, relu), maxpool 3 /2,
        adaptiveavg 6, flatten, 2*(dropout 0.5, linear 4096, relu), linear classes
    """,
    "alexnet_2012": """
        input 3x227x227,
        conv 96 11x11 /4, relu, lrn 5 plus 2 total, maxpool 3 /2,
        conv 256 5x5 pad 2 groups 2, relu, lrn 5 plus 2 total, maxpool 3 /2,
        conv 384 3x3 pad 1, relu, conv 384 3x3 pad 1 groups 2, relu,
        conv 256 3x3 pad 1 groups 2, relu, maxpool 3 /2,
        flatten, 2*(linear 4096, relu, dropout 0.5), linear classes
    """,
    "zfnet": """
        input 3x224x224,
        conv 96 7x7 /2 pad 1, relu, maxpool 3 /2 ceil, lrn 5 plus 2 total,
        conv 256 5x5 /2, relu, maxpool 3 /2 ceil, lrn 5 plus 2 total,
        2*(conv 384 3x3 pad 1, relu), conv 256 3x3 pad 1, relu, maxpool 3 /2 ceil,
        flatten, 2*(linear 4096, relu, dropout 0.5), linear classes
    """,
    "all_cnn_c": """
        input 3x32x32, dropout 0.2,
        2*(conv 96 3x3 pad 1, relu), conv 96 3x3 /2 pad 1, relu, dropout 0.5,
        2*(conv 192 3x3 pad 1, relu), conv 192 3x3 /2 pad 1, relu, dropout 0.5,
        conv 192 3x3, relu, conv 192 1x1, relu,
        conv classes 1x1, globalavg
    """,
    "mobilenet_v1": """
        input 3x224x224,
        conv 32 3x3 /2 pad 1 nobias, bn, relu,
        depthwise 3x3 pad 1 nobias, bn, relu, conv 64 1x1 nobias, bn, relu,
        depthwise 3x3 /2 pad 1 nobias, bn, relu, conv 128 1x1 nobias, bn, relu,
        depthwise 3x3 pad 1 nobias, bn, relu, conv 128 1x1 nobias, bn, relu,
        depthwise 3x3 /2 pad 1 nobias, bn, relu, conv 256 1x1 nobias, bn, relu,
        depthwise 3x3 pad 1 nobias, bn, relu, conv 256 1x1 nobias, bn, relu,
        depthwise 3x3 /2 pad 1 nobias, bn, relu, conv 512 1x1 nobias, bn, relu,
        5*(depthwise 3x3 pad 1 nobias, bn, relu, conv 512 1x1 nobias, bn, relu),
        depthwise 3x3 /2 pad 1 nobias, bn, relu, conv 1024 1x1 nobias, bn, relu,
        depthwise 3x3 pad 1 nobias, bn, relu, conv 1024 1x1 nobias, bn, relu,
        globalavg, linear classes
    """,
    "mlp": "input 1x28x28, flatten, 2*(linear 512, relu), linear classes",
    "jarrett": """
        input 1x143x143,
        conv 64 9x9, tanh gain, abs, lcn 9, avgpool 10 /5,
        table 256 9x9 random links 16, tanh gain, abs, lcn 9, avgpool 6 /4,
        flatten, linear classes
    """,
    "c3d": """
        input 3x16x112x112,
        conv 64 3 pad 1, relu, maxpool 1x2x2 ceil,
        conv 128 3 pad 1, relu, maxpool 2 ceil,
        2*(conv 256 3 pad 1, relu), maxpool 2 ceil,
        2*(conv 512 3 pad 1, relu), maxpool 2 ceil,
        2*(conv 512 3 pad 1, relu), maxpool 2 ceil,
        adaptiveavg 1x4x4, flatten, 2*(linear 4096, relu, dropout 0.5), linear classes
    """,
    "deepface": """
        input 3x152x152,
        conv 32 11x11, relu, maxpool 3 /2 ceil, conv 16 9x9, relu,
        local 16 9x9, relu, local 16 7x7 /2, relu, local 16 5x5, relu,
        flatten, linear 4096, relu, dropout 0.5, linear classes
    """,
    "dilated_context": """
        w = 16;
        input 3x224x224,
        2*(conv w 3x3 pad 1, relu), maxpool 2,
        2*(conv 2*w 3x3 pad 1, relu), maxpool 2,
        3*(conv 4*w 3x3 pad 1, relu), maxpool 2,
        3*(conv 8*w 3x3 pad 1, relu),
        3*(conv 8*w 3x3 pad 2 dilation 2, relu),
        conv 64*w 7x7 pad 12 dilation 4, relu, dropout 0.5, conv 64*w 1x1, relu, dropout 0.5,
        conv 21 1x1,
        2*(conv 21 3x3 same, relu), conv 21 3x3 same dilation 2, relu, conv 21 3x3 same dilation 4, relu,
        conv 21 3x3 same dilation 8, relu, conv 21 3x3 same dilation 16, relu, conv 21 3x3 same, relu,
        conv classes 1x1, upsample 8 bilinear
    """,
    **{f"vgg{depth}": _vgg(depth, False) for depth in _VGG},
    **{f"vgg{depth}_bn": _vgg(depth, True) for depth in _VGG},
}
"""Their texts by their names: as many parameters in the same order, and the same scores from the same weights."""
