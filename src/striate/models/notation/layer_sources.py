"""The source of the small layers that written code brings along."""

RESIDUAL = '''class Residual(nn.Sequential):
    """The body's output and the input, or the shortcut's output, added."""

    def forward(self, input: Tensor) -> Tensor:
        body, *shortcut = self
        return body(input) + (shortcut[0](input) if shortcut else input)
'''

CONCAT = '''class Concat(nn.Sequential):
    """The channels of all branches, one after another."""

    def forward(self, input: Tensor) -> Tensor:
        return torch.cat([branch(input) for branch in self], 1)
'''

SUM = '''class Sum(nn.Sequential):
    """The sum of all branches."""

    def forward(self, input: Tensor) -> Tensor:
        return sum(branch(input) for branch in self)
'''

ABSRECTIFY = '''class AbsRectify(nn.Module):
    """The absolute value."""

    def forward(self, input: Tensor) -> Tensor:
        return input.abs()
'''

MAXOUT = '''class Maxout(nn.Module):
    """The largest of each group of consecutive channels."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(1, (-1, self.pieces)).max(2).values
'''

SCALEDTANH = '''class ScaledTanh(nn.Module):
    """The hyperbolic tangent, times a learned gain for each channel."""

    def __init__(self, channels: int, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((channels,), gain))

    def forward(self, input: Tensor) -> Tensor:
        return self.gain.view(-1, *[1] * (input.ndim - 2)) * input.tanh()
'''

PADDED_CONV = '''class PaddedConv{axes}d(nn.Conv{axes}d):
    """A convolution with other pads low than high; pads are those of F.pad, for the size of input stated below."""

    def __init__(self, *args: int, pads: tuple[int, ...], mode: str, **settings: object) -> None:
        super().__init__(*args, **settings)
        self.pads, self.mode = pads, mode

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, self.pads, self.mode))
'''

PADDED_POOL = '''class Padded{kind}(nn.{kind}):
    """A pooling with other pads low than high; pads are those of F.pad, for the size of input stated below."""

    def __init__(self, *args: int, pads: tuple[int, ...], value: float, **settings: object) -> None:
        super().__init__(*args, **settings)
        self.pads, self.value = pads, value

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, self.pads, value=self.value))
'''

NETWORK = '''

class Network(nn.Module):
    """Reads (N, {shape})."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            OrderedDict([
{body}            ])
        )

    def forward(self, input: Tensor) -> Tensor:
        return self.layers(input)
'''
