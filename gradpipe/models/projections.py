"""Find a model's projections by its structure, regardless of its name and type.

In each decoder layer, the attention is the submodule with linear layers in the roles of Q, K, V and
O, and the MLP the one with gate, up and down. A linear layer with several roles is split by the
effect of its columns. The roles of a mixture of experts are in ``mixtures``. A layer without one of
the roles is a gap.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from gradpipe.errors import ModelError, nearest
from gradpipe.models.experts import Experts
from gradpipe.models.fused_layers import FusedLayers
from gradpipe.models.heads import count_heads
from gradpipe.models.latent_attention import inner_place
from gradpipe.models.layer_list import layer_list
from gradpipe.models.layer_places import missing_error, places_in_layer, sees_later_tokens
from gradpipe.models.layer_types import SOFTMAX_ATTENTION, layer_types
from gradpipe.models.layouts import OutputColumns
from gradpipe.models.mixtures import MixturePlaces, RolePlace, mixture_places, require_mixture
from gradpipe.models.places import linear_layers
from gradpipe.models.roles import ATTENTION, CROSS, LATENT, MIXTURE, SHARED_EXPERT, Places

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """One projection of one layer: the module that computes it and the columns of its outputs.

    ``layer_type`` is that of the layer's attention if the model mixes several types. It is None for
    other models, and for projections of an MLP. ``reads`` is the module whose inputs the projection
    reads if these are not the inputs of ``module`` (see ``latent_attention``).
    """

    layer: int
    name: str
    path: str
    module: nn.Module
    columns: OutputColumns = field(default_factory=OutputColumns)
    layer_type: str | None = None
    reads: nn.Module | None = None
    #: The experts whose gradients this is, in the layers of a mixture.
    experts: Experts | None = None
    #: Whether the product is computed in the forward of ``module``, which returns something else.
    inside: bool = False
    #: The number of attention heads whose gradients are wanted too.
    heads: int | None = None


def find_projections(
    model: nn.Module,
    names: tuple[str, ...] = ATTENTION,
    layer_names: Mapping[str, str] | None = None,
    *,
    heads: bool = False,
) -> list[Projection]:
    """Return the named projections of every layer that has them, in layer order.

    ``names`` are keys of ROLES. ``layer_names`` gives paths inside a decoder layer by role, for
    modules with unusual names; a fused module is named for each of its roles. ``heads`` asks for
    the numbers of heads of softmax attentions, too. Passes run through the model for fused modules
    only, and the model is restored afterwards. Layers without a role are left out for that role,
    with a message in the log: see ``find_gaps``. Raises ModelError, listing the linear layers, if
    no layer has a role, if a layer cannot be split, or if a layer that is configured to have
    softmax attention is missing one of its projections.
    """
    path, layers = layer_list(model)
    named = layer_names or {}
    if any(map(sees_later_tokens, layers)):
        raise ModelError(
            f"The layers in {path} attend to later tokens as well: use a decoder, or a checkpoint "
            "that has `is_decoder: true` in its config.json."
        )
    cross = [name for name in names if name in CROSS]
    if cross and not getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise ModelError(
            "Only encoder-decoders have a cross-attention that reads the prompt: remove "
            f"{', '.join(cross)} from `projections`."
        )
    _require_named(path, layers, named)
    types = layer_types(model, len(layers))
    mixtures = [mixture_places(layer, names, named) for layer in layers]
    places = [
        _beside_mixture(layer, mixture, names, named)
        for layer, mixture in zip(layers, mixtures, strict=True)
    ]
    _require_roles(path, layers, types, names, places=places, mixtures=mixtures)
    fused = FusedLayers(model)
    projections: list[Projection] = []
    for number, (layer, layer_type) in enumerate(zip(layers, types, strict=True)):
        layer_path, here = f"{path}.{number}", places[number]
        if layer_type not in (None, SOFTMAX_ATTENTION):
            # What a recurrence does with the columns of a fused layer cannot be observed.
            here = {role: place for role, place in here.items() if not _in_fused(role, here)}
        columns = fused.columns(layer_path, layer, here, names)
        projections += _of_mixture(number, layer_path, layer, mixtures[number], fused)
        for name in (name for name in names if name in here):
            inner = None if name in named else inner_place(name, here)
            projections.append(
                Projection(
                    layer=number,
                    name=name,
                    path=f"{layer_path}.{here[name]}",
                    module=layer.get_submodule(here[name]),
                    columns=columns[name],
                    layer_type=layer_type if name in {*ATTENTION, *LATENT} else None,
                    reads=layer.get_submodule(inner) if inner else None,
                )
            )
    _log_gaps(find_gaps(model, projections, names), len(layers))
    return [_with_heads(model, p) for p in projections] if heads else projections


def find_gaps(
    model: nn.Module, projections: Sequence[Projection], names: Sequence[str]
) -> list[tuple[int, str]]:
    """Return the (layer, role) pairs of ``names`` that a model does not have, in layer order.

    A role that no layer has is not one of the model's: where an adapter's factors are measured,
    there are no gaps.
    """
    layers = range(len(layer_list(model)[1]))
    found = {(projection.layer, projection.name) for projection in projections}
    roles = [name for name in names if any(name == role for _, role in found)]
    return [(layer, name) for layer in layers for name in roles if (layer, name) not in found]


def _beside_mixture(
    layer: nn.Module, mixture: MixturePlaces, names: tuple[str, ...], named: Mapping[str, str]
) -> Places:
    """The places of roles that a layer's mixture does not have."""
    roles = tuple(name for name in names if name not in mixture.handled)
    return places_in_layer(
        layer, roles, {role: place for role, place in named.items() if role not in MIXTURE}
    )


def _of_mixture(
    number: int, layer_path: str, layer: nn.Module, mixture: MixturePlaces, fused: FusedLayers
) -> list[Projection]:
    """The projections of a layer that only mixtures have, and those of its experts."""
    shared = fused.columns(layer_path, layer, mixture.shared, tuple(mixture.shared))
    places = dict(mixture.places)
    for role, path in mixture.shared.items():
        if (name := SHARED_EXPERT[role]) in mixture.shared_roles:
            module = layer.get_submodule(path)
            places[name] = RolePlace(path=path, module=module, columns=shared[role])
    return [
        Projection(
            layer=number,
            name=name,
            path=f"{layer_path}.{place.path}",
            module=place.module,
            columns=place.columns,
            experts=place.experts,
            inside=place.inside,
        )
        for name, place in places.items()
    ]


def _with_heads(model: Any, projection: Projection) -> Projection:
    """A projection with its number of heads, if it belongs to a softmax attention."""
    role = projection.name.removeprefix("cross_")
    if role not in ATTENTION or projection.layer_type not in (None, SOFTMAX_ATTENTION):
        return projection
    module: Any = projection.module
    # Linear and GPT-2's Conv1D name their widths differently.
    names = ("in_features", "nx") if role == "o" else ("out_features", "nf")
    width = next((getattr(module, name) for name in names if hasattr(module, name)), None)
    if width is not None and role != "o":
        width = projection.columns.take(torch.empty(width)).shape[-1]
    # All heads of a latent attention have keys and values of their own.
    counted_as = "q" if projection.reads is not None else role
    heads = count_heads(model, counted_as, width, projection.path)
    return replace(projection, heads=heads)


def _require_named(path: str, layers: nn.ModuleList, named: Mapping[str, str]) -> None:
    """Raise ModelError if no decoder layer has a linear layer that the user named."""
    known = {place: None for layer in layers for place in linear_layers(layer)}
    for role, place in named.items():
        if place not in known:
            raise ModelError(
                f"The layers in {path} have no linear layer {place!r}, as named for {role}: "
                f"{nearest(place, list(known))}"
            )


def _require_roles(
    path: str,
    layers: nn.ModuleList,
    types: list[str | None],
    names: tuple[str, ...],
    *,
    places: list[Places],
    mixtures: list[MixturePlaces],
) -> None:
    """Raise ModelError for a role that no layer has, or a known attention without its roles."""
    in_mixtures = {role for mixture in mixtures for role in mixture.roles}
    require_mixture(names, in_mixtures)
    anywhere = in_mixtures | {role for here in places for role in here}
    softmax = [number for number, kind in enumerate(types) if kind == SOFTMAX_ATTENTION]
    for number in (*softmax, *range(len(layers))):
        needed = [name for name in names if name not in anywhere]
        if number in softmax:
            needed = [name for name in names if name not in anywhere or name in ATTENTION]
        missing = [name for name in needed if name not in places[number]]
        if missing:
            layer_name = f"Layer {number} ({path}.{number})"
            raise missing_error(layer_name, layers[number], missing, places[number])


def _in_fused(role: str, places: Places) -> bool:
    """Whether a role of an attention shares its layer with others."""
    return role in ATTENTION and list(places.values()).count(places[role]) > 1


def _log_gaps(gaps: list[tuple[int, str]], layers: int) -> None:
    """Log the layers without each role, one message for roles with the same gaps."""
    by_role: dict[str, list[int]] = {}
    for layer, name in gaps:
        by_role.setdefault(name, []).append(layer)
    for without in dict.fromkeys(map(tuple, by_role.values())):
        roles = [name for name, numbers in by_role.items() if tuple(numbers) == without]
        message = "%d of %d layers have no %s: %s"
        listed = ", ".join(map(str, without))
        _log.info(message, len(without), layers, ", ".join(roles), listed)
