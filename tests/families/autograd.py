"""Compare a model's measured gradients with autograd on its weights, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from gradpipe.errors import ModelError
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import make_protocol
from gradpipe.gradients.rows import explode_matrices
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import Projection, find_projections
from gradpipe.models.roles import ROLES
from tests.families.tiny import START

#: Singular values of each (layer, projection).
Spectra = dict[tuple[int, str], np.ndarray]


def measurable_roles(model: Any) -> tuple[tuple[str, ...], dict[str, str]]:
    """The roles that some layer of a model has, and the reason of each of the others."""
    roles, reasons = [], {}
    for role in ROLES:
        try:
            find_projections(model, (role,))
        except ModelError as error:
            reasons[role] = str(error)
        else:
            roles.append(role)
    return tuple(roles), reasons


def worst_error(
    model: Any,
    twin: Any,
    rows: list[TokenRow],
    roles: tuple[str, ...],
    checkpointing: bool = False,
) -> float:
    """The largest relative difference of a loss, norm or singular value from autograd's.

    That of a singular value is relative to the largest of its gradient. ``twin`` is an equal model,
    whose weights are changed to untie them.
    """
    matrices, losses = extracted(model, rows, roles, checkpointing)
    untie(twin)
    worst = 0.0
    for number, row in enumerate(rows):
        loss, expected = by_autograd(twin, row, roles)
        worst = max(worst, abs(losses[number] / loss - 1))
        found = matrices.filter(row=number)
        keys = list(zip(found["layer"], found["projection"], strict=True))
        assert sorted(keys) == sorted(expected)
        for key, norm, values in zip(
            keys, found["frobenius_norm"], found["singular_values"], strict=True
        ):
            exact = expected[key]
            ours = np.zeros_like(exact)
            ours[: len(values)] = values.to_numpy()[: len(exact)]
            largest = max(exact[0], 1e-30)
            worst = max(worst, float(np.abs(ours - exact).max() / largest))
            worst = max(worst, abs(norm - float(np.linalg.norm(exact))) / largest)
    return worst


def extracted(
    model: Any,
    rows: list[TokenRow],
    roles: tuple[str, ...],
    checkpointing: bool = False,
    **settings: Any,
) -> tuple[pl.DataFrame, list[float]]:
    """The matrices that gradpipe measures, and the losses of the rows."""
    loaded = LoadedModel(
        name="tiny",
        fingerprint="",
        model=model,
        tokenizer=None,  # type: ignore[arg-type]
        device="cpu",
        checkpointing=checkpointing,
    )
    protocol = make_protocol(projections=roles, **settings)
    frame = pl.concat(extract_rows(loaded, rows, protocol)).sort("row")
    faults = frame["reason"].drop_nulls().to_list()
    assert not faults, faults
    return explode_matrices(frame.lazy()).collect(), frame["loss"].to_list()


def unpassed(model: Any, projections: list[Projection], row: TokenRow) -> set[tuple[int, str]]:
    """The (layer, name) of the projections that a text does not pass."""
    seen: set[int] = set()
    with ExitStack() as stack:
        for projection in projections:
            module = projection.module
            note = module.register_forward_hook(lambda m, _i, _o: seen.add(id(m)))
            stack.callback(note.remove)
        forward(model, row)
    return {(p.layer, p.name) for p in projections if id(p.module) not in seen}


def forward(model: Any, row: TokenRow) -> Tensor:
    """The logits [tokens, vocabulary] of a row alone, zeros where an encoder reads tokens."""
    ids = torch.tensor([row.ids])
    if not model.config.is_encoder_decoder:
        logits: Tensor = model(input_ids=ids, use_cache=False).logits[0]
        return logits
    shifted = ids[:, row.start - 1 : -1].clone()
    shifted[0, 0] = START
    own = model(input_ids=ids[:, : row.start], decoder_input_ids=shifted, use_cache=False).logits[0]
    return torch.cat([own.new_zeros(row.start - 1, own.shape[-1]), own, own[-1:]])


def untie(model: Any) -> None:
    """Give layers that share weights copies of them."""
    seen: set[int] = set()
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter):
            if id(weight) in seen:
                module.weight = nn.Parameter(weight.detach().clone())
            seen.add(id(weight))


def by_autograd(model: Any, row: TokenRow, roles: tuple[str, ...]) -> tuple[float, Spectra]:
    """The loss of one row, and the singular values of its gradients, by ordinary autograd."""
    loss, gradients = gradients_by_autograd(model, row, roles)
    # All experts together are block-diagonal.
    values = {place: torch.linalg.svdvals(g).flatten() for place, g in gradients.items()}
    return loss, {
        place: each.sort(descending=True).values.numpy() for place, each in values.items()
    }


def gradients_by_autograd(
    model: Any, row: TokenRow, roles: tuple[str, ...]
) -> tuple[float, dict[tuple[int, str], Tensor]]:
    """The loss of one row, and its gradients [d_in, d_out], or [experts, d_in, d_out]."""
    projections = find_projections(model, roles)
    model.requires_grad_(True)
    model.zero_grad()
    added: dict[int, Tensor] = {}
    with dense_maps(projections, added):
        logits = forward(model, row)
        positions = torch.tensor(row.positions)
        targets = torch.tensor(row.ids)[positions]
        loss = nn.functional.cross_entropy(logits[positions - 1], targets)
        loss.backward()
    gradients = {}
    for projection in projections:
        if projection.experts is not None:
            own = expert_gradients(projection)
        else:
            composed = id(projection) in added
            g = added[id(projection)].grad if composed else gradient(projection.module)
            # Columns of the outputs are rows of the gradient.
            own = None if g is None else projection.columns.take(g.T)
        # Text does not pass all of them.
        if own is not None:
            gradients[projection.layer, projection.name] = own
    return loss.item(), gradients


def gradient(module: Any) -> Tensor | None:
    """The gradient [d_out, d_in] of a linear layer's weight."""
    g = module.weight.grad
    return g.T if g is not None and isinstance(module, Conv1D) else g


def expert_gradients(projection: Projection) -> Tensor | None:
    """The gradients [experts, d_in, d_out] of a projection of a mixture's experts.

    None for a module that text does not pass.
    """
    module: Any = projection.module
    last = projection.name == "down"
    if hasattr(module, "mlp"):
        weight = {"gate": module.mlp.w1, "up": module.mlp.v1, "down": module.mlp.w2}[
            projection.name
        ]
        parts = weight.grad.unflatten(0, (module.num_experts, -1))
        return parts if last else parts.mT
    if hasattr(module, "input_linear"):
        layer = module.output_linear if last else module.input_linear
        return projection.columns.take(layer.weight.grad.mT)
    first = module.gate_up_proj if hasattr(module, "gate_up_proj") else module.up_proj
    g = module.down_proj.grad if last else first.grad
    if g is None:
        return None
    assert projection.experts is not None
    straight = module.down_proj.shape[1] == projection.experts.inputs
    return projection.columns.take(g.mT if straight else g)


@contextmanager
def dense_maps(projections: list[Projection], added: dict[int, Tensor]) -> Iterator[None]:
    """While open, a zero matrix is added to each composed projection, from its input on."""
    with ExitStack() as stack:
        for projection in (p for p in projections if p.reads is not None):
            reads: Any = projection.reads
            shape = (projection.module.weight.shape[0], reads.weight.shape[1])
            weight = torch.zeros(shape, dtype=reads.weight.dtype, requires_grad=True)
            added[id(projection)] = weight
            inputs: list[Tensor] = []

            def keep(_m: Any, values: Any, _o: Any, inputs: list[Tensor] = inputs) -> None:
                inputs[:] = values[:1]

            def add(
                _m: Any,
                _v: Any,
                output: Tensor,
                inputs: list[Tensor] = inputs,
                weight: Tensor = weight,
            ) -> Tensor:
                return output + inputs[0] @ weight.T

            stack.callback(reads.register_forward_hook(keep).remove)
            stack.callback(projection.module.register_forward_hook(add).remove)
        yield
