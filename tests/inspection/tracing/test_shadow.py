import collections
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from striate.inspection.tracing.shadow import Shadow


def shadow(model: nn.Module) -> Shadow:
    return Shadow(model, FakeTensorMode(), lambda *_: None, lambda *_: None)


def stretch(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def test_parameters_have_sizes_and_no_numbers() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3).double(), nn.BatchNorm2d(4).requires_grad_(False))
    found = shadow(model)
    assert list(found.parameters) == list(model.state_dict())
    for name, value in model.state_dict(keep_vars=True).items():
        fake = found.parameters[name]
        assert isinstance(fake, FakeTensor) and fake.device == value.device
        assert (fake.shape, fake.stride(), fake.dtype) == (value.shape, value.stride(), value.dtype)
        assert fake.requires_grad == value.requires_grad
        assert isinstance(fake, nn.Parameter) == isinstance(value, nn.Parameter)


def test_the_copy_has_the_classes_and_settings_of_the_network() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Dropout(0.2)).eval()
    copied = shadow(model).model
    assert [type(module) for module in copied.modules()] == [type(module) for module in model.modules()]
    assert copied.get_submodule("0").stride == (2, 2) and copied.get_submodule("1").p == 0.2
    assert not any(module.training for module in copied.modules())
    assert not set(map(id, copied.modules())) & set(map(id, model.modules()))


def test_shared_memory_is_shared() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    with torch.no_grad():
        model[2].weight = nn.Parameter(model[0].weight.t())
    found = shadow(model).parameters
    assert found["0.weight"] is found["1.weight"]
    assert found["0.weight"] is not found["2.weight"] and stretch(found["0.weight"]) == stretch(found["2.weight"])
    assert found["2.weight"].stride() == (1, 4)
    assert stretch(found["0.bias"]) != stretch(found["1.bias"])


def test_a_module_of_two_names_is_one() -> None:
    layer = nn.Linear(2, 2)
    copied = shadow(nn.ModuleDict({"a": layer, "b": layer})).model
    assert copied.get_submodule("a") is copied.get_submodule("b")


class Holding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.several: dict[str, Any] = {
            "list": [self.layer, torch.ones(3)],
            "ordered": collections.OrderedDict(a=torch.ones(2)),
            "last": collections.deque([1, 2], maxlen=2),
        }
        self.call = self.layer.forward
        self.none = None


def test_containers_are_copied_and_what_they_hold_is_that_of_the_copy() -> None:
    model = Holding()
    copied: Any = shadow(model).model
    assert copied.several is not model.several
    assert copied.several["list"][0] is copied.layer is not model.layer
    assert isinstance(copied.several["list"][1], FakeTensor) and copied.several["list"][1].shape == (3,)
    assert isinstance(copied.several["ordered"], collections.OrderedDict)
    assert isinstance(copied.several["ordered"]["a"], FakeTensor)
    copied.several["last"].append(3)
    assert list(copied.several["last"]) == [2, 3] and list(model.several["last"]) == [1, 2]
    assert copied.call.__self__ is copied.layer and copied.none is None


def test_hooks_of_pytorch_run_and_those_of_others_do_not() -> None:
    model = nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 2)), nn.Linear(2, 2))
    model[1].register_forward_hook(lambda *_: None)
    found = shadow(model)
    assert found.hooks_left_out == ["1"]
    assert len(found.model.get_submodule("0")._forward_pre_hooks) == 2
    assert len(found.model.get_submodule("1")._forward_hooks) == 1


def test_a_network_on_the_meta_device_is_taken_to_be_on_the_cpu() -> None:
    with torch.device("meta"):
        model = nn.Linear(2, 3)
    assert shadow(model).parameters["weight"].device.type == "cpu"


def test_a_lazy_module_is_refused() -> None:
    with pytest.raises(ValueError, match="1.weight has no size yet: run the network once"):
        shadow(nn.Sequential(nn.ReLU(), nn.LazyLinear(3)))


def test_fake_parameters_are_refused() -> None:
    with FakeTensorMode():
        model = nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(TypeError, match="0.weight is a fake tensor already: inspect the network itself"):
        shadow(model)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused() -> None:
    model = nn.Sequential(torch.jit.script(nn.Linear(2, 3)))
    with pytest.raises(TypeError, match="0 is compiled to TorchScript: inspect the module it was made from"):
        shadow(model)


def test_with_numbers_weights_are_copied_and_share_memory_as_they_did() -> None:
    model = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4)), nn.Linear(4, 4))
    model[1].bias = model[0].bias
    model(torch.ones(1, 4))
    found = Shadow(model, None, lambda *_: None, lambda *_: None).model
    assert found.state_dict().keys() == model.state_dict().keys()
    for name, value in found.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
        assert stretch(value) != stretch(model.state_dict()[name])
    assert found.get_parameter("0.bias") is found.get_parameter("1.bias")
    assert isinstance(found.get_parameter("0.bias"), nn.Parameter)
    assert not isinstance(found.get_submodule("0").weight, FakeTensor)


def test_what_was_compiled_stands_as_it_was() -> None:
    inner = nn.Linear(2, 2)
    inner.compile()
    model = nn.Sequential(torch.compile(nn.Linear(2, 2)), inner)
    found = shadow(model)
    assert list(found.parameters) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert [type(module) for module in found.model] == [nn.Linear, nn.Linear]
    assert found.model.get_submodule("1")._compiled_call_impl is None


def test_other_tensors_are_named() -> None:
    assert list(shadow(Holding()).constants) == ["several.list.1", "several.ordered.a"]


def test_hooks_of_the_backward_pass_do_not_run() -> None:
    model = nn.Linear(2, 2)
    model.register_full_backward_hook(lambda *_: None)
    model.register_full_backward_pre_hook(lambda *_: None)
    found = shadow(model).model
    assert not found._backward_hooks and not found._backward_pre_hooks and len(model._backward_hooks) == 1
