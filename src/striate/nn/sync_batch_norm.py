"""Batch normalisation over the samples of many processes."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm

from striate.geometry.checks import check_integer

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation whose mean and variance are those of the samples of all processes together.

    `output = (input - mean) / sqrt(variance + eps) * weight + bias` for each channel. While training, mean and variance
    are taken over the batches of all processes of a group, each by its number of samples, so that the result is that of
    one big batch, also where batches differ in size or one is empty; gradients flow through them between processes,
    any number of times. The gradients of weight and bias are those of the process's own samples, for
    `DistributedDataParallel` to add.

    It works with every backend: with gloo on the CPU, where PyTorch's `SyncBatchNorm` raises, and with NCCL on GPUs.
    Without a process group, or with one of a single process, and in evaluation it is PyTorch's batch normalisation; the
    state dict is PyTorch's. Each process must call the layer as often as the others, forward and backward. Half
    precision is computed in float32.

    Args:
        num_features: channels, at least 1.
        eps: added to the variance.
        momentum: weight of the newest batch in the running statistics, from 0 to 1; None for the mean of all batches.
        affine: whether weight and bias are learned.
        track_running_stats: whether running statistics are kept for evaluation; without, a batch's own are taken there,
            each process its own.
        process_group: the processes; None for all.
        device: where parameters and statistics are.
        dtype: their type.
        bias: whether there is a bias beside the weight.

    Raises:
        TypeError: if `num_features` is not an integer.
        ValueError: if `num_features` is below 1.

    Source:
        Ioffe and Szegedy, "Batch normalization", ICML 2015, https://arxiv.org/abs/1502.03167; means and centred squares
        are put together after Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", 1979.

    Example:
        >>> layer = SyncBatchNorm(8)
        >>> layer(torch.randn(4, 8, 6, 6)).shape
        torch.Size([4, 8, 6, 6])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: "ProcessGroup | None" = None,
        device: torch.types.Device = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        check_integer("num_features", num_features, 1)
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)
        if not bias:
            self.register_parameter("bias", None)
        self.process_group = process_group

    def forward(self, input: Tensor) -> Tensor:
        """Normalise.

        Args:
            input: `(N, num_features, *sizes)` with any number of axes, none included; N may be 0 beside processes that
                have samples.

        Returns:
            The same shape and dtype.

        Raises:
            ValueError: if the input has another shape, or all processes together have one number a channel.
        """
        self._check_input_dim(input)
        together = self.training and distributed.is_available() and distributed.is_initialized()
        # -1 for a process outside of the group, which normalises by itself, as in PyTorch.
        if not together or distributed.get_world_size(self.process_group) < 2:
            return super().forward(input)
        return self._normalised(input)

    def _normalised(self, input: Tensor) -> Tensor:
        """The input by the statistics of all processes, which are noted.

        Raises:
            ValueError: if there is one number a channel.
        """
        axes = [0, *range(2, input.ndim)]
        along = (-1, *[1] * (input.ndim - 2))
        wide = input.to(torch.promote_types(input.dtype, torch.float32))
        own = input.numel() // self.num_features
        # Rounded: what it misses is a mean of its own, so that numbers far from 0 keep their digits.
        near = wide.detach().sum(axes) / max(own, 1)
        centred = wide - near.view(along)
        missing = centred.sum(axes) / max(own, 1)
        squares = centred.square().sum(axes) - own * missing.square()
        counts, nears, missing, squares = _gathered(own, near, missing, squares, group=self.process_group)
        samples = [int(count) for count in counts.flatten().tolist()]
        total = sum(samples)
        if total == 1:
            raise ValueError(
                f"more than one number a channel is needed to train, got {tuple(input.shape)}, none beside"
            )
        origin = nears[samples.index(max(samples))]
        means = nears - origin + missing
        mean = (counts * means).sum(0) / max(total, 1)
        squares = squares.sum(0) + (counts * (means - mean).square()).sum(0)
        if self.track_running_stats:
            self._note(origin + mean, squares, total)
        scale = (squares / max(total, 1) + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        shift = (near - origin - mean) * scale
        if self.bias is not None:
            shift = shift + self.bias
        return torch.addcmul(shift.view(along), centred, scale.view(along)).to(input.dtype)

    @torch.no_grad()
    def _note(self, mean: Tensor, squares: Tensor, total: int) -> None:
        """Move the running statistics towards those of a batch."""
        if self.num_batches_tracked is None or self.running_mean is None or self.running_var is None:
            return
        self.num_batches_tracked.add_(1)
        if total:
            weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean), weight)
            self.running_var.lerp_((squares / (total - 1)).to(self.running_var), weight)

    def _check_input_dim(self, input: Tensor) -> None:
        """See that the channels are where they must be.

        Raises:
            ValueError: if they are not.
        """
        if input.ndim < 2 or input.shape[1] != self.num_features:
            raise ValueError(f"input must be (N, {self.num_features}, *sizes), got {tuple(input.shape)}")

    @classmethod
    def convert_sync_batchnorm(cls, module: nn.Module, process_group: "ProcessGroup | None" = None) -> nn.Module:
        """Replace the batch normalisation of a network, along any number of axes, by this one.

        Args:
            module: a network, which is changed, or a layer.
            process_group: the processes; None for all.

        Returns:
            The network, or the new layer if a layer came. New layers have the parameters and the running statistics of
            the old ones, the same tensors, so that an optimizer that has them keeps them.

        Raises:
            TypeError: if a layer does something of its own beside batch normalisation, which would be lost.

        Example:
            >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
            >>> SyncBatchNorm.convert_sync_batchnorm(network)[1]
            SyncBatchNorm(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
        """
        if isinstance(module, _BatchNorm):
            return cls._like(module, process_group)
        made: dict[nn.Module, nn.Module] = {}
        for parent in list(module.modules()):
            # By the dictionary: a layer that occurs twice has two names.
            for name, child in list(parent._modules.items()):
                if isinstance(child, _BatchNorm):
                    made[child] = made.get(child) or cls._like(child, process_group)
                    parent.add_module(name, made[child])
        return module

    @classmethod
    def _like(cls, layer: _BatchNorm, process_group: "ProcessGroup | None") -> nn.Module:
        """A layer with the tensors of another.

        Raises:
            TypeError: if the other is more than batch normalisation.
        """
        if type(layer).forward not in (_BatchNorm.forward, nn.SyncBatchNorm.forward, cls.forward):
            kind = type(layer).__qualname__
            raise TypeError(
                f"{kind} has a forward of its own, of which SyncBatchNorm would lose what is not in BatchNorm"
            )
        made = cls(
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats, process_group,
            device="meta", bias=layer.bias is not None,
        )  # fmt: skip
        made.weight, made.bias = layer.weight, layer.bias
        made.running_mean, made.running_var = layer.running_mean, layer.running_var
        made.num_batches_tracked = layer.num_batches_tracked
        return made.train(layer.training)


def _gathered(count: int, *rows: Tensor, group: "ProcessGroup | None") -> list[Tensor]:
    """The counts `(processes, 1)` and the rows `(processes, C)` of all processes."""
    processes, rank = distributed.get_world_size(group), distributed.get_rank(group)
    own = torch.cat([rows[0].new_tensor([count]), *rows])
    above, below = own.new_zeros(rank, len(own)), own.new_zeros(processes - 1 - rank, len(own))
    return list(_sum(torch.cat([above, own[None], below]), group).split_with_sizes([1, *map(len, rows)], 1))


def _sum(tensor: Tensor, group: "ProcessGroup | None") -> Tensor:
    """The sum of the tensors of all processes; the gradient of each is the sum of the gradients of all."""
    total: Tensor = _Sum.apply(tensor, group)  # type: ignore[no-untyped-call]
    return total


class _Sum(Function):
    """The sum, with the sum for its gradient."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: "ProcessGroup | None") -> Tensor:
        ctx.group = group
        total = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _sum(grad, ctx.group), None
