"""A replaced forward computes while the block is open, and the module is as before afterwards."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gradpipe.gradients.passes.replaced_forward import replaced_forwards


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


ONE = torch.ones(1)


def result(module: nn.Module) -> float:
    return float(module(ONE))


def test_a_module_computes_its_replacement_inside_the_block_only() -> None:
    first, second = Doubling(), Doubling()
    with replaced_forwards({first: lambda x: 3 * x}):
        assert (result(first), result(second)) == (3, 2)
    assert (result(first), result(second)) == (2, 2)
    assert "forward" not in vars(first)


def test_hooks_still_see_the_module_called() -> None:
    module, seen = Doubling(), []
    module.register_forward_hook(lambda _module, _inputs, output: seen.append(float(output)))
    with replaced_forwards({module: lambda x: 3 * x}):
        module(ONE)
    assert seen == [3]


def test_a_forward_of_the_instance_is_put_back() -> None:
    def own(x: Tensor) -> Tensor:
        return 5 * x

    module: Any = Doubling()
    module.forward = own
    with replaced_forwards({module: lambda x: 3 * x}):
        assert result(module) == 3
    assert module.forward is own


def test_nested_blocks_restore_what_each_found() -> None:
    module = Doubling()
    with replaced_forwards({module: lambda x: 3 * x}):
        with replaced_forwards({module: lambda x: 4 * x}):
            assert result(module) == 4
        assert result(module) == 3
    assert result(module) == 2


def test_modules_are_restored_after_an_exception() -> None:
    modules = [Doubling(), Doubling()]
    with (
        pytest.raises(RuntimeError, match="inside"),
        replaced_forwards({module: lambda x: 3 * x for module in modules}),
    ):
        raise RuntimeError("inside")
    assert [result(module) for module in modules] == [2, 2]
    assert not any("forward" in vars(module) for module in modules)


def test_modules_are_restored_if_one_of_them_cannot_be_replaced() -> None:
    class Stubborn(Doubling):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "forward":
                raise AttributeError(name)
            super().__setattr__(name, value)

    module, stubborn = Doubling(), Stubborn()
    with (
        pytest.raises(AttributeError, match="forward"),
        replaced_forwards({module: lambda x: 3 * x, stubborn: lambda x: 3 * x}),
    ):
        pass
    assert result(module) == 2
    assert result(stubborn) == 2
