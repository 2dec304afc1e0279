"""What every operator must stand, one function a habit; each asserts."""

import concurrent.futures
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

Function = Callable[..., Tensor]

# The largest error, relative to the largest number of the expected tensor.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}


def assert_close(
    found: Tensor, expected: Tensor, dtype: torch.dtype | None = None, terms: Tensor | None = None
) -> None:
    """Compare with the tolerance of the coarser dtype, or of `dtype`, relative to the largest expected number.

    Where terms may cancel, `terms` holds the sums of their absolute values, and the error is relative to these.
    """
    assert found.shape == expected.shape
    coarse = dtype or max((found.dtype, expected.dtype), key=TOLERANCE.__getitem__)
    if expected.numel():
        error = (found.double() - expected.double()).abs().max()
        scale = (expected if terms is None else terms).double().abs().max().clamp_min(1e-30)
        assert error <= TOLERANCE[coarse] * scale, f"relative error {error / scale:.2e} in {coarse}"


def leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)


def gradients_of(function: Function, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a weighted sum of the outputs; the weights are the same for equal output sizes."""
    own = leaves(*tensors)
    output = function(*own)
    weights = torch.linspace(0.5, 1.5, output.numel(), dtype=torch.float64).to(output).view(output.shape)
    return torch.autograd.grad((output * weights).sum(), own)


def check_same(function: Function, definition: Function, *tensors: Tensor) -> None:
    """Outputs and all gradients equal those of an independent definition."""
    assert_close(function(*tensors), definition(*tensors))
    pairs = zip(gradients_of(function, *tensors), gradients_of(definition, *tensors), strict=True)
    for found, expected in pairs:
        assert_close(found, expected)


def check_gradients(function: Function, *tensors: Tensor) -> None:
    """First and second order, forward mode and batched, against finite differences; tiny float64 tensors only."""
    own = leaves(*tensors)
    assert torch.autograd.gradcheck(function, own, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(function, own)


def check_transforms(function: Function, *tensors: Tensor) -> None:
    """`torch.func`: jvp, jacrev, hessian of a scalar, and per-sample gradients of the first tensor's batch."""
    own = tuple(tensor.detach() for tensor in tensors)
    tangents = tuple(torch.ones_like(tensor) * 0.5 for tensor in own)
    jacobians = torch.func.jacrev(function, argnums=tuple(range(len(own))))(*own)
    _, pushed = torch.func.jvp(function, own, tangents)
    expected = sum(
        torch.tensordot(jacobian, tangent, dims=tangent.ndim)
        for jacobian, tangent in zip(jacobians, tangents, strict=True)
    )
    assert_close(pushed, expected)

    def loss(last: Tensor, sample: Tensor) -> Tensor:
        return function(sample.unsqueeze(0), *own[1:-1], last).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(own[-1], own[0])
    alone = torch.stack([torch.func.grad(loss)(own[-1], sample) for sample in own[0]])
    assert_close(each, alone)
    hessian = torch.func.hessian(loss)(own[-1], own[0][0])
    assert_close(hessian, torch.autograd.functional.hessian(lambda last: loss(last, own[0][0]), own[-1]))


def check_compiles(function: Function, make: Callable[[int], tuple[Tensor, ...]], sizes: Sequence[int]) -> None:
    """One full graph serves two sizes, outputs and gradients."""
    torch._dynamo.reset()
    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")
    for size in sizes:
        tensors = make(size)
        check_same(compiled, function, *tensors)


class _Module(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.function(*tensors)


def check_onnx(function: Function, tmp_path: Path, *tensors: Tensor) -> set[str]:
    """The user's plain export runs in ONNX Runtime with the same outputs; returns the operators of the graph."""
    import onnxruntime

    file = tmp_path / "operator.onnx"
    with warnings.catch_warnings():
        # PyTorch's own exporter warns of its own calls.
        warnings.simplefilter("ignore")
        torch.onnx.export(_Module(function).eval(), tensors, file, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [taken.name for taken in session.get_inputs()]
    feeds = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
    (output,) = session.run(None, feeds)
    assert_close(torch.from_numpy(np.asarray(output)), function(*tensors), torch.float32)
    import onnx

    return {node.op_type for node in onnx.load(file).graph.node}


def check_autocast(function: Function, *tensors: Tensor) -> None:
    """Autocast lowers float32 to its dtype and leaves float64 alone."""
    narrow = tuple(tensor.float() for tensor in tensors)
    with torch.autocast("cpu", torch.bfloat16):
        output = function(*narrow)
        assert output.dtype == torch.bfloat16
        assert function(*(tensor.double() for tensor in tensors)).dtype == torch.float64
    assert_close(output, function(*narrow))


def check_dtypes(function: Function, *tensors: Tensor) -> None:
    """Every floating dtype gives its own, near float64's, gradients too."""
    for dtype in TOLERANCE:
        own = tuple(tensor.to(dtype) for tensor in tensors)
        output = function(*own)
        assert output.dtype == dtype
        wide = tuple(tensor.double() for tensor in own)
        assert_close(output, function(*wide))
        for found, expected in zip(gradients_of(function, *own), gradients_of(function, *wide), strict=True):
            assert found.dtype == dtype
            assert_close(found, expected)


def check_formats(function: Function, *tensors: Tensor) -> None:
    """Channels-last comes back channels-last, with the same numbers; strided views are read as they are."""
    first, *others = tensors
    expected = function(*tensors)
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(first.ndim)
    if layout is not None:
        output = function(first.contiguous(memory_format=layout), *others)
        assert output.is_contiguous(memory_format=layout)
        assert_close(output, expected)
        pairs = zip(
            gradients_of(function, first.contiguous(memory_format=layout), *others),
            gradients_of(function, *tensors),
            strict=True,
        )
        for found, wished in pairs:
            assert_close(found, wished)
    spread = torch.stack([first, first], -1)[..., 0]
    assert not spread.is_contiguous() or spread.numel() < 2
    assert_close(function(spread, *others), expected)


def check_batches(function: Function, *tensors: Tensor) -> None:
    """An unbatched input is a batch of one without its axis; an empty batch gives an empty result and gradients."""
    first, *others = tensors
    assert_close(function(first[0], *others), function(first[:1], *others)[0])
    empty = first[:0]
    assert function(empty, *others).shape == (0, *function(*tensors).shape[1:])
    for found, tensor in zip(gradients_of(function, empty, *others), (empty, *others), strict=True):
        assert found.shape == tensor.shape
        assert not found.any()


def check_deterministic(function: Function, *tensors: Tensor, threads: bool) -> None:
    """The same bits at every run; with `threads` also at one thread and at two, and there in inference mode."""

    def bits() -> list[Tensor]:
        return [function(*tensors), *gradients_of(function, *tensors)]

    first = bits()
    assert all(map(torch.equal, first, bits()))
    if threads:
        torch.set_num_threads(2)
        try:
            assert all(map(torch.equal, first, bits()))
            with torch.inference_mode():
                assert torch.equal(function(*(tensor.clone() for tensor in tensors)), first[0])
        finally:
            torch.set_num_threads(1)


def check_whole(function: Function, *tensors: Tensor) -> None:
    """Nothing is returned that was not written: uninitialised memory is filled with NaN."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert function(*tensors).isfinite().all()
        assert all(gradient.isfinite().all() for gradient in gradients_of(function, *tensors))
    finally:
        torch.use_deterministic_algorithms(False)


def check_written(function: Function, definition: Function, *tensors: Tensor) -> None:
    """`check_same` with the definition in float64, again and again, while freed memory is full of large numbers."""

    def wide(*own: Tensor) -> Tensor:
        return definition(*(tensor.double() for tensor in own))

    for _ in range(20):
        for size in range(1, 1000, 7):
            torch.full((size,), 1e30)
        with torch.no_grad():
            assert_close(function(*tensors), wide(*tensors))
        check_same(function, wide, *tensors)


def check_concurrent(function: Function, *tensors: Tensor) -> None:
    """Two Python threads at once, at two threads of PyTorch: the same numbers."""
    expected = [function(*tensors), *gradients_of(function, *tensors)]

    def same() -> bool:
        found = [function(*tensors), *gradients_of(function, *tensors)]
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
        return True

    torch.set_num_threads(2)
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            assert all(future.result(60) for future in [pool.submit(same) for _ in range(4)])
    finally:
        torch.set_num_threads(1)
