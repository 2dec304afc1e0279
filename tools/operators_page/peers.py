"""Others' operators, on the tensors of ours."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from benchmarks.peers import jax_on_cpu
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Someone else's operator.

    Args:
        name: what the table calls it.
        functions: by number of axes, those that there are; called only where the packages are installed.
        needs: packages.
        jax: whether the functions are of JAX's arrays.
    """

    name: str
    functions: Mapping[int, Callable[..., Any]]
    needs: tuple[str, ...] = ()
    jax: bool = False

    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [package for package in self.needs if importlib.util.find_spec(package) is None]


def _of_jax(make: Callable[[int], Callable[..., Any]]) -> Peer:
    return Peer(name="JAX", functions={axes: make(axes) for axes in (1, 2, 3)}, needs=("jax",), jax=True)


def _of_torch(*functions: Callable[..., Tensor], **settings: Any) -> Peer:
    """Along one axis and more; PyTorch takes its settings under the names that ours have."""

    def call(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *tensors: function(*tensors, **settings)

    return Peer(name="torch.nn", functions=dict(enumerate(map(call, functions), 1)))


def _deform(*tensors: Tensor) -> Tensor:
    from benchmarks.peers import torchvision_on_cpu  # noqa: F401
    from torchvision.ops import deform_conv2d

    input, offset, weight, bias, mask = tensors
    result: Tensor = deform_conv2d(input, offset, weight, bias, stride=2, padding=1, mask=mask)
    return result


def _local_of_jax(axes: int) -> Callable[..., Any]:
    def function(input: Any, weight: Any, bias: Any) -> Any:
        from jax import lax
        from jax import numpy as jnp

        # Ours is (*outputs, out, in, *kernel), JAX's (out, in * taps, *outputs).
        apart = jnp.moveaxis(weight, range(axes), range(-axes, 0))
        joined = apart.reshape(weight.shape[axes], -1, *weight.shape[:axes])
        output = lax.conv_general_dilated_local(input, joined, [2] * axes, [(1, 1)] * axes, weight.shape[-axes:])
        return output + bias.reshape(-1, *[1] * axes)

    return function


def _signal_of_jax(name: str) -> Peer:
    def function(planes: Any, kernel: Any) -> Any:
        import jax
        from jax.scipy import signal

        return jax.vmap(lambda plane: getattr(signal, name)(plane, kernel, mode="valid"))(planes)

    return _of_jax(lambda axes: function)


def unpooled(function: Callable[..., Any]) -> Callable[[Tensor], Tensor]:
    """Numbers put back in every other place."""

    def call(values: Tensor) -> Tensor:
        places = 2 * torch.arange(values[0, 0].numel()).view(values.shape[2:])
        result: Tensor = function(values, places.expand_as(values), 2)
        return result

    return call


_STRIDED: dict[str, Any] = {"stride": 2, "padding": 1}

PEERS: dict[str, tuple[Peer, ...]] = {
    "conv{n}d": (
        _of_torch(F.conv1d, F.conv2d, F.conv3d, **_STRIDED),
        _of_jax(lambda n: jax_on_cpu.conv(stride=(2,) * n, padding=(1,) * n, dilation=(1,) * n, groups=1)),
    ),
    "conv_transpose{n}d": (
        _of_torch(F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d, **_STRIDED),
        _of_jax(lambda n: jax_on_cpu.conv_transpose(stride=(2,) * n, padding=(1,) * n, groups=1)),
    ),
    "local_conv{n}d": (_of_jax(_local_of_jax),),
    "deform_conv{n}d": (Peer(name="torchvision", functions={2: _deform}, needs=("torchvision",)),),
    "local_response_norm": (_of_torch(*[F.local_response_norm] * 3, size=3, alpha=0.5),),
    "im2col{n}d": (
        Peer(name="torch.nn", functions={2: lambda input: F.unfold(input, 2)}),
        _of_jax(lambda n: jax_on_cpu.im2col((2,) * n)),
    ),
    "col2im{n}d": (
        Peer(name="torch.nn", functions={2: lambda columns: F.fold(columns, (2, columns.shape[-1] + 1), 2)}),
    ),
    "abs_rectify": (_of_torch(*[Tensor.abs] * 3),),
    "maxout": (_of_torch(*[lambda input: input.unflatten(1, (-1, 2)).max(2).values] * 3),),
    "scaled_tanh": (_of_torch(*[lambda input, gain: gain.view(-1, *[1] * (input.ndim - 2)) * input.tanh()] * 3),),
    "max_pool{n}d": (_of_torch(F.max_pool1d, F.max_pool2d, F.max_pool3d, kernel_size=2, **_STRIDED),),
    "max_unpool{n}d": (
        Peer(
            name="torch.nn",
            functions={n: unpooled(call) for n, call in enumerate((F.max_unpool1d, F.max_unpool2d, F.max_unpool3d), 1)},
        ),
    ),
    "avg_pool{n}d": (_of_torch(F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, kernel_size=2, **_STRIDED),),
    "adaptive_max_pool{n}d": (
        _of_torch(F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d, output_size=2),
    ),
    "adaptive_avg_pool{n}d": (
        _of_torch(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d, output_size=2),
    ),
    "lp_pool{n}d": (_of_torch(F.lp_pool1d, F.lp_pool2d, F.lp_pool3d, norm_type=2.0, kernel_size=2, stride=2),),
    "correlate": (_signal_of_jax("correlate"),),
    "convolve": (_signal_of_jax("convolve"),),
}
"""By the name of our row, with the settings that the row has."""
