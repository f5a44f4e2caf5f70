"""The experts of a mixture as modules store them: fused tensors, one expert behind another.

Of every kind, an expert is known by three functions: its first product, what lies between, and its
last product. Which columns of the first product are gate and which are up is found by their effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradpipe.models.layouts import ColumnLayout, OutputColumns

#: Names of the fused tensors [experts, ..., ...] of the first product, with and without a gate.
FIRST = ("gate_up_proj", "up_proj")
#: Largest second difference along ``up``, which is linear, relative to that along the gate.
LINEAR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Experts:
    """The experts of one layer, all in ``module``, which maps ``inputs`` features to as many.

    ``first`` maps (expert, x [n, inputs]) to the gate's and up's outputs together, ``between`` them
    to the inputs of ``last``, which maps (expert, inputs) to outputs; ``after`` maps these before
    they are weighted. ``columns`` are those of gate and up in the outputs of ``first``. A module is
    called with every token's chosen experts (``routed``), or with the inputs of each expert, zero
    for the tokens of others (``stacked``), or holds its router and sorts by expert (``whole``).
    """

    module: Any
    number: int
    inputs: int
    first: Callable[[int, Tensor], Tensor]
    between: Callable[[Tensor], Tensor]
    last: Callable[[int, Tensor], Tensor]
    after: Callable[[Tensor], Tensor]
    columns: ColumnLayout
    called: Literal["routed", "stacked", "whole"] = "routed"


def as_experts(module: nn.Module) -> Experts | None:
    """A module's experts, or None if it holds none, or none that gradpipe can take apart."""
    own = dict(module.named_parameters(recurse=False))
    name = next((name for name in FIRST if name in own and own[name].ndim == 3), None)
    if name is not None and "down_proj" in own:
        arguments = _count_arguments(module)
        # Some shared experts have three tensors.
        if "gate_proj" in own or arguments not in {1, 3}:
            return None
        return _stored_as_tensors(module, name, "routed" if arguments == 3 else "stacked")
    if hasattr(getattr(module, "mlp", None), "v1") and _count_arguments(module) == 3:
        return _stored_as_matrices(module)
    if hasattr(module, "activation") and _count_arguments(module) == 1:
        return _stored_as_layers(module)
    return None


def _count_arguments(module: nn.Module) -> int:
    return len(signature(module.forward).parameters)


def _stored_as_tensors(
    module: Any, name: str, called: Literal["routed", "stacked"]
) -> Experts | None:
    """Experts in tensors [experts, ..., ...]: outputs × inputs, or inputs × outputs."""
    first, last = tuple(getattr(module, name).shape), tuple(module.down_proj.shape)
    times = 2 if name == FIRST[0] else 1
    transposed = first[1] == last[2] and first[2] == times * last[1]
    straight = first[2] == last[1] and first[1] == times * last[2]
    if first[0] != last[0] or not (transposed or straight):
        return None
    # Without a gate, shapes fit both ways: straight, unless the module says otherwise.
    transposed = getattr(module, "is_transposed", transposed and not straight)
    width = first[2] if transposed else first[1]
    between = _gate_of(module) if times == 2 else module.act_fn
    columns = gate_columns(between, width) if times == 2 else {"up": OutputColumns()}
    if columns is None:
        return None
    return Experts(
        module=module,
        number=first[0],
        inputs=first[1] if transposed else first[2],
        first=_product(module, name, transposed),
        between=between,
        last=_product(module, "down_proj", transposed),
        after=module.post_expert_norm if getattr(module, "has_post_expert_norm", False) else _same,
        columns=columns,
        called=called,
    )


def _stored_as_matrices(module: Any) -> Experts | None:
    """Experts in three matrices [experts · features, inputs], as DBRX stores them."""
    mlp, number = module.mlp, module.num_experts

    def expert(name: str, place: int) -> Tensor:
        weight = getattr(mlp, name)
        part: Tensor = weight.unflatten(0, (number, -1))[place]
        return part

    def first(place: int, x: Tensor) -> Tensor:
        return torch.cat([functional.linear(x, expert(name, place)) for name in ("w1", "v1")], -1)

    def between(both: Tensor) -> Tensor:
        gate, up = both.chunk(2, -1)
        product: Tensor = mlp.activation_fn(gate) * up
        return product

    def last(place: int, x: Tensor) -> Tensor:
        return x @ expert("w2", place)

    columns = gate_columns(between, 2 * mlp.w1.shape[0] // number)
    if columns is None:
        return None
    return Experts(
        module=module,
        number=number,
        inputs=mlp.w1.shape[1],
        first=first,
        between=between,
        last=last,
        after=_same,
        columns=columns,
    )


def _stored_as_layers(module: Any) -> Experts | None:
    """Experts in two layers with a weight [experts, outputs, inputs], as JetMoE stores them."""
    first, last = (getattr(module, name, None) for name in ("input_linear", "output_linear"))
    shape = tuple(getattr(getattr(first, "weight", None), "shape", ()))
    if len(shape) != 3 or not hasattr(module, "router"):
        return None

    def between(both: Tensor) -> Tensor:
        gate, up = both.chunk(2, -1)
        product: Tensor = module.activation(gate) * up
        return product

    columns = gate_columns(between, shape[1])
    if columns is None:
        return None
    return Experts(
        module=module,
        number=shape[0],
        inputs=shape[2],
        first=_product(first, "weight", transposed=False),
        between=between,
        last=_product(last, "weight", transposed=False),
        after=_same,
        columns=columns,
        called="whole",
    )


def _product(module: Any, name: str, transposed: bool) -> Callable[[int, Tensor], Tensor]:
    """One expert's product with a fused tensor, and its bias; read at each call, when loaded."""

    def product(place: int, x: Tensor) -> Tensor:
        weight, bias = getattr(module, name)[place], getattr(module, f"{name}_bias", None)
        weight = weight.T if transposed else weight
        return functional.linear(x, weight, None if bias is None else bias[place])

    return product


def _gate_of(module: Any) -> Callable[[Tensor], Tensor]:
    """What a module computes from the outputs of its first product."""
    if hasattr(module, "_apply_gate"):
        gated: Callable[[Tensor], Tensor] = module._apply_gate
        return gated

    def halves(both: Tensor) -> Tensor:
        gate, up = both.chunk(2, -1)
        product: Tensor = module.act_fn(gate) * up
        return product

    return halves


def _same(outputs: Tensor) -> Tensor:
    return outputs


def gate_columns(between: Callable[[Tensor], Tensor], width: int) -> ColumnLayout | None:
    """The columns of gate and up among ``width``, by their effect on ``between``; None if unclear.

    Its outputs are linear in ``up`` and not in the gate, and the two columns of an output are side
    by side or half of the width apart.
    """
    half = width // 2
    for groups in (1, half):
        apart, step = width // (2 * groups), 0.25
        for gate, up in ((0, 1), (1, 0)):
            layout = {
                name: OutputColumns(groups, place * apart, (place + 1) * apart)
                for name, place in (("gate", gate), ("up", up))
            }
            bends = [_bend(between, layout[name], width, step) for name in ("gate", "up")]
            if bends[0] is None or bends[1] is None:
                continue
            gate_bend, up_bend = float(bends[0].abs().min()), float(bends[1].abs().max())
            if gate_bend > 0 and up_bend <= LINEAR * gate_bend:
                return layout
    return None


def _bend(
    between: Callable[[Tensor], Tensor], columns: OutputColumns, width: int, step: float
) -> Tensor | None:
    """The second difference of all outputs along some columns, around zero; None if not finite.

    The other columns are 0.5: small enough for gates that clamp.
    """
    along = columns.take(torch.arange(width))
    values = torch.full((3, width), 0.5, dtype=torch.float64)
    values[:, along] = torch.tensor([-step, 0.0, step], dtype=torch.float64)[:, None]
    with torch.no_grad():
        low, middle, high = between(values)
    bend: Tensor = low - 2 * middle + high
    return bend if bool(torch.isfinite(bend).all()) else None
