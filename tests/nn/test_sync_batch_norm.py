import copy
import pickle

import pytest
import torch
from torch import multiprocessing, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nn import synchronised
from nn.synchronised import CASES, CHANNELS, PROCESSES, layer, network, penalty, step
from ops.checks import assert_close, check_compiles, check_gradients, check_onnx
from striate.nn import SyncBatchNorm


class Whole(_BatchNorm):
    """PyTorch's batch normalisation along any number of axes."""

    def __init__(self, *args, bias=True, **settings):
        super().__init__(*args, **settings)
        if not bias:
            self.register_parameter("bias", None)

    def _check_input_dim(self, input):
        pass


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What three processes with gloo found, by rank."""
    folder = tmp_path_factory.mktemp("processes")
    processes = multiprocessing.spawn(synchronised.run, (folder,), PROCESSES, join=False)
    try:
        while not processes.join(timeout=100):
            pass
    finally:
        for process in processes.processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


def close(ours, theirs, dtype, **settings):
    """As `assert_close`, or equal where there are no fractions."""
    if ours.is_floating_point():
        assert_close(ours, theirs, dtype, **settings)
    else:
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", CASES)
def test_equals_one_big_batch(found, name):
    case = CASES[name]
    expected = layer(case, Whole).double()
    for number, (inputs, grads) in enumerate(case.inputs()):
        whole = step(expected, torch.cat(inputs).double(), torch.cat(grads).double())
        if not sum(case.batches[number]):
            whole["gradient of input"] = torch.cat(inputs)
        ours = [found[rank][name][number] for rank in range(len(inputs))]
        assert {key: len(ours[0][key].shape) for key in whole} == {key: whole[key].ndim for key in whole}
        for key in ("output", "gradient of input"):
            assert all(part[key].dtype == case.dtype for part in ours)
            assert_close(torch.cat([part[key] for part in ours]), whole[key], case.dtype)
        for key in {"gradient of weight", "gradient of bias"} & whole.keys():
            assert_close(sum(part[key] for part in ours), whole[key], case.dtype)
        for key, _ in expected.named_buffers():
            for part in ours:
                close(part[key], whole[key], case.dtype)


@pytest.mark.parametrize("name", CASES)
def test_evaluation_is_pytorchs(found, name):
    case = CASES[name]
    expected = layer(case, Whole).double()
    for inputs, _ in case.inputs():
        expected(torch.cat(inputs).double())
    expected.eval()
    for rank, input in enumerate(next(case.inputs())[0]):
        # Half precision: the statistics are rounded.
        assert_close(found[rank][f"{name}, evaluated"], expected(input.double()), case.dtype)


def test_far_from_zero_the_variance_keeps_its_digits(found):
    (inputs, _) = next(CASES["far from zero"].inputs())
    variance = 0.9 + 0.1 * torch.cat(inputs).double().var((0, 2, 3))
    for part in found:
        (first,) = part["far from zero"]
        assert ((first["running_var"] - variance).abs() <= 1e-6 * variance).all()


def test_all_processes_have_the_same_statistics(found):
    for name in ("three", "an empty batch", "cumulative", "far from zero", "bfloat16"):
        for key in ("running_mean", "running_var", "num_batches_tracked"):
            assert all(torch.equal(part[name][-1][key], found[0][name][-1][key]) for part in found)


def test_a_process_outside_of_the_group_normalises_by_itself(found):
    inputs, grads = next(CASES["one"].inputs())
    for key, value in step(layer(CASES["one"], Whole), inputs[0], grads[0]).items():
        close(found[2]["outside"][0][key], value, torch.float64)


def test_second_order_between_processes(found):
    case = CASES["three"]
    inputs, grads = next(case.inputs())
    leaves = [input.clone().requires_grad_() for input in inputs]
    output = layer(case, Whole)(torch.cat(leaves))
    expected = torch.autograd.grad(penalty(output, torch.cat(grads), leaves[0]), leaves)
    assert all(gradient.any() for gradient in expected)
    for part, gradient in zip(found, expected, strict=True):
        assert_close(part["second order"], gradient)


def test_data_parallel_training_is_that_of_one_big_batch(found):
    whole = network()
    optimizer = torch.optim.SGD(whole.parameters(), lr=0.1 / PROCESSES)
    for inputs, _ in CASES["three"].inputs():
        optimizer.zero_grad()
        whole(torch.cat(inputs)).pow(3).sum().backward()
        optimizer.step()
    for part in found:
        assert part["data parallel"].keys() == whole.state_dict().keys()
        for key, value in whole.state_dict().items():
            close(part["data parallel"][key], value, torch.float64)


def test_one_number_a_channel_is_refused_by_all(found):
    for rank, part in enumerate(found):
        assert "more than one number a channel is needed to train" in part["too few"]
        assert f"got ({int(rank == 1)}, {CHANNELS})" in part["too few"]


class TestWithoutProcesses:
    @pytest.mark.parametrize("sizes", [(), (4,), (3, 4), (2, 3, 2)])
    @pytest.mark.parametrize("training", [True, False])
    def test_is_batch_norm(self, sizes, training):
        ours, theirs = SyncBatchNorm(3).train(training), Whole(3).train(training)
        for _ in range(2):
            input = torch.randn(4, 3, *sizes)
            assert torch.equal(ours(input), theirs(input))
        assert all(map(torch.equal, ours.state_dict().values(), theirs.state_dict().values()))

    def test_loads_from_and_into_pytorch(self):
        theirs = nn.BatchNorm2d(3)
        theirs(torch.randn(4, 3, 5, 5))
        ours = SyncBatchNorm(3)
        ours.load_state_dict(theirs.state_dict())
        assert list(ours.state_dict()) == list(theirs.state_dict()) == list(nn.SyncBatchNorm(3).state_dict())
        input = torch.randn(2, 3, 4, 4)
        assert torch.equal(ours.eval()(input), theirs.eval()(input))
        theirs.load_state_dict(ours.state_dict())

    def test_gradients(self):
        own = SyncBatchNorm(2, dtype=torch.float64, track_running_stats=False)
        check_gradients(own, torch.randn(3, 2, 2, dtype=torch.float64))

    def test_copies_pickles_compiles_and_exports(self, tmp_path):
        own = SyncBatchNorm(3)
        own(torch.randn(4, 3, 5, 5))
        own.eval()
        input = torch.randn(2, 3, 5, 5)
        for other in (copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
            assert torch.equal(other(input), own(input))
        check_onnx(own, tmp_path, input)
        check_compiles(own, lambda size: (torch.randn(2, 3, size, size + 1),), (4, 6))
        check_compiles(SyncBatchNorm(3, track_running_stats=False), lambda size: (torch.randn(2, 3, size, 4),), (4, 6))


class TestConversion:
    def test_keeps_parameters_statistics_and_mode(self):
        whole = network().eval()
        before = list(whole.named_parameters())
        converted = SyncBatchNorm.convert_sync_batchnorm(whole)
        assert converted is whole
        assert [type(one) for one in converted] == [nn.Conv2d, SyncBatchNorm, nn.Tanh, nn.Conv2d, SyncBatchNorm]
        for (name, parameter), (new_name, new) in zip(before, converted.named_parameters(), strict=True):
            assert name == new_name and parameter is new
        assert not converted[1].training
        input = torch.randn(2, CHANNELS, 3, 3, dtype=torch.float64)
        assert torch.equal(converted(input), network().eval()(input))

    def test_settings_and_layers_alone(self):
        old = nn.BatchNorm1d(4, eps=0.5, momentum=None, affine=False, track_running_stats=False)
        new = SyncBatchNorm.convert_sync_batchnorm(old)
        assert repr(new) == repr(old).replace("BatchNorm1d", "SyncBatchNorm")
        assert isinstance(SyncBatchNorm.convert_sync_batchnorm(nn.SyncBatchNorm(4)), SyncBatchNorm)
        linear = nn.Linear(2, 2)
        assert SyncBatchNorm.convert_sync_batchnorm(linear) is linear

    def test_a_layer_that_occurs_twice_stays_one(self):
        shared = nn.BatchNorm2d(4)
        whole = nn.Sequential(shared, nn.Sequential(nn.ReLU(), shared), shared)
        first, (_, second), third = SyncBatchNorm.convert_sync_batchnorm(whole)
        assert isinstance(first, SyncBatchNorm)
        assert first is second is third

    def test_refuses_to_lose_what_a_layer_does(self):
        class WithActivation(nn.BatchNorm2d):
            def forward(self, input):
                return super().forward(input).relu()

        with pytest.raises(TypeError, match="WithActivation has a forward of its own"):
            SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(WithActivation(3)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SyncBatchNorm(0), ValueError, "num_features must be an integer of at least 1, got 0"),
        (lambda: SyncBatchNorm(2.0), TypeError, "num_features must be an integer of at least 1, got 2.0"),
        (lambda: SyncBatchNorm(3)(torch.zeros(3)), ValueError, r"input must be \(N, 3, \*sizes\), got \(3,\)"),
        (lambda: SyncBatchNorm(3)(torch.zeros(2, 4)), ValueError, r"input must be \(N, 3, \*sizes\), got \(2, 4\)"),
    ],
)
def test_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()
