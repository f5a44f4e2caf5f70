"""The gate and up of experts are found by their effect, however a module stores them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gradpipe.models.experts import as_experts, gate_columns
from gradpipe.models.layouts import OutputColumns

WIDTH = 12
HALVES = OutputColumns(1, 0, 6), OutputColumns(1, 6, 12)
PAIRS = OutputColumns(6, 0, 1), OutputColumns(6, 1, 2)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "relu": functional.relu,
    "squared relu": lambda x: functional.relu(x).square(),
    "sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
}


def halves(both: Tensor) -> tuple[Tensor, ...]:
    return both.chunk(2, -1)


def pairs(both: Tensor) -> tuple[Tensor, ...]:
    return both[..., ::2], both[..., 1::2]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("cut", "columns"), [(halves, HALVES), (pairs, PAIRS)])
def test_gate_and_up_are_found_in_every_layout_and_order(
    activation: str,
    cut: Callable[[Tensor], tuple[Tensor, ...]],
    columns: tuple[OutputColumns, OutputColumns],
) -> None:
    act = ACTIVATIONS[activation]

    def gate_first(both: Tensor) -> Tensor:
        gate, up = cut(both)
        return act(gate) * up

    def up_first(both: Tensor) -> Tensor:
        up, gate = cut(both)
        return act(gate) * up

    def clamped(both: Tensor) -> Tensor:
        gate, up = cut(both)
        return act(gate.clamp(max=7.0)) * (up.clamp(-7.0, 7.0) + 1)

    for between in (gate_first, clamped):
        assert gate_columns(between, WIDTH) == {"gate": columns[0], "up": columns[1]}
    assert gate_columns(up_first, WIDTH) == {"gate": columns[1], "up": columns[0]}


def test_two_factors_of_one_kind_cannot_be_distinguished() -> None:
    def product(both: Tensor) -> Tensor:
        one, other = both.chunk(2, -1)
        return one * other

    def curved(both: Tensor) -> Tensor:
        one, other = both.chunk(2, -1)
        return functional.silu(one) * functional.silu(other)

    assert gate_columns(product, WIDTH) is None
    assert gate_columns(curved, WIDTH) is None


class Stored(nn.Module):
    """Two experts from 4 to 6 features and back, as one layout stores them."""

    def __init__(self, transposed: bool, gated: bool) -> None:
        super().__init__()
        first, last = ((12 if gated else 6), 4), (4, 6)
        shapes = (first[::-1], last[::-1]) if transposed else (first, last)
        name = "gate_up_proj" if gated else "up_proj"
        for each, shape in zip((name, "down_proj"), shapes, strict=True):
            setattr(self, each, nn.Parameter(torch.randn(2, *shape)))
        self.act_fn = functional.silu

    def forward(self, hidden: Tensor, index: Tensor, weights: Tensor) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("gated", [False, True])
def test_the_orientation_of_fused_tensors_is_found(transposed: bool, gated: bool) -> None:
    module = Stored(transposed, gated)
    if not gated:
        # Shapes do not show it.
        module.is_transposed = transposed
    experts = as_experts(module)
    assert experts is not None
    assert (experts.number, experts.inputs, experts.called) == (2, 4, "routed")
    assert experts.columns.keys() == ({"gate", "up"} if gated else {"up"})
    weight = getattr(module, "gate_up_proj" if gated else "up_proj")[1]
    x = torch.randn(3, 4)
    expected = x @ (weight if transposed else weight.T)
    torch.testing.assert_close(experts.first(1, x), expected)
    assert experts.last(0, experts.between(expected)).shape == (3, 4)


def test_modules_without_fused_tensors_are_no_experts() -> None:
    assert as_experts(nn.Linear(3, 4)) is None
    assert as_experts(nn.ModuleList([nn.Linear(3, 4)])) is None
    shared = Stored(transposed=False, gated=False)
    shared.gate_proj = nn.Parameter(torch.randn(2, 6, 4))
    assert as_experts(shared) is None
    odd = Stored(transposed=False, gated=True)
    odd.down_proj = nn.Parameter(torch.randn(1, 4, 6))
    assert as_experts(odd) is None
    other: Any = SimpleNamespace(named_parameters=lambda recurse: [], forward=len)
    assert as_experts(other) is None
