"""Functions of tensors as contenders."""

import torch
from benchmarks.runner.contender import channels_last, cotangent, on_torch
from torch.nn import functional as F


def test_results_are_the_output_and_the_gradients_of_all_inputs() -> None:
    input, weight = torch.randn(3, 4), torch.randn(5, 4)
    work = on_torch(F.linear, input, weight)
    assert work.results is not None
    output, grad_input, grad_weight = work.results()
    grad = cotangent(3, 5)
    assert torch.allclose(output, input @ weight.T)
    assert torch.allclose(grad_input, grad @ weight)
    assert torch.allclose(grad_weight, grad.T @ input)
    assert not any(result.requires_grad for result in (output, grad_input, grad_weight))


def test_forward_is_run_without_gradients_and_the_other_with() -> None:
    recorded = []

    def function(input: torch.Tensor) -> torch.Tensor:
        recorded.append(torch.is_grad_enabled())
        return input * 2

    work = on_torch(function, torch.ones(2))
    recorded.clear()
    assert work.run() is None
    assert work.with_backward is not None
    assert work.with_backward() is None
    assert recorded == [False, True]


def test_an_operator_may_have_no_gradient() -> None:
    work = on_torch(lambda input: input.round(), torch.rand(3), backward=False)
    assert work.with_backward is None
    assert work.results is not None
    (output,) = work.results()
    assert not output.requires_grad


def test_the_gradient_of_the_output_lies_as_the_output_does() -> None:
    seen = []
    (input,) = channels_last(torch.randn(2, 3, 4, 4))

    def function(input: torch.Tensor) -> torch.Tensor:
        output = input * 1
        if output.requires_grad:
            output.register_hook(lambda grad: seen.append(grad.stride()))
        return output

    work = on_torch(function, input)
    assert work.with_backward is not None
    work.with_backward()
    assert seen == [input.stride()]


def test_channels_last_of_pictures_and_volumes_only() -> None:
    series, picture, volume = channels_last(torch.ones(2, 3, 4), torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4, 4))
    assert series.is_contiguous()
    assert picture.is_contiguous(memory_format=torch.channels_last)
    assert volume.is_contiguous(memory_format=torch.channels_last_3d)


def test_the_gradient_of_the_output_is_the_same_for_all() -> None:
    torch.manual_seed(3)
    assert torch.equal(cotangent(2, 3), cotangent(2, 3))
