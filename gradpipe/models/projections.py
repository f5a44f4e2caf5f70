"""Find a model's projections by its structure, regardless of its name and type.

Decoder layers are the longest list of blocks with linear layers. In each decoder layer, the
attention is the submodule with linear layers in the roles of Q, K, V and O, and the MLP the one
with gate, up and down. A linear layer with several roles is split by the effect of its columns.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from gradpipe.errors import ModelError, nearest
from gradpipe.models.experts import Experts
from gradpipe.models.heads import count_heads
from gradpipe.models.layer_types import SOFTMAX_ATTENTION, layer_types
from gradpipe.models.layouts import ColumnLayout, OutputColumns
from gradpipe.models.mixtures import MixturePlaces, RolePlace, mixture_places, require_mixture
from gradpipe.models.places import attention_places, linear_layers, mlp_places, weight_shape
from gradpipe.models.probe import probe_attention, probe_gate
from gradpipe.models.roles import ATTENTION, MIXTURE, MLP, SHARED_EXPERT, Places

_log = logging.getLogger(__name__)
#: End of a sentence that explains how to name an unknown model's layers.
NAMING = (
    "name them with `layer_names` in the study, as {q: attn.wq, k: attn.wk, ...}, or with "
    "--layer-name q=attn.wq (name a fused layer for each of its roles)."
)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """One projection of one layer: the module that computes it and the columns of its outputs.

    ``layer_type`` is that of the layer's attention if the model mixes several types. It is None for
    other models, and for projections of an MLP.
    """

    layer: int
    name: str
    path: str
    module: nn.Module
    columns: OutputColumns = field(default_factory=OutputColumns)
    layer_type: str | None = None
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
    the numbers of attention heads, too. Dense layers of a mixture have no router and no shared
    expert, and are left out there.
    Passes run through the model for fused modules only, and the model is restored afterwards.
    In a model that mixes layers with and without softmax attention, those without it may have no q,
    k, v and o; they are left out, with a message in the log. Raises ModelError, listing the linear
    layers, if a projection is missing or a layer cannot be split.
    """
    path, layers = _decoder_layers(model)
    fused = _FusedLayers(model)
    projections: list[Projection] = []
    types = layer_types(model, len(layers))
    left_out: list[int] = []
    for number, (layer, layer_type) in enumerate(zip(layers, types, strict=True)):
        layer_path = f"{path}.{number}"
        roles, named = names, layer_names or {}
        if layer_type not in (None, SOFTMAX_ATTENTION) and not _has_attention(layer, named):
            left_out.append(number)
            roles = tuple(name for name in names if name not in ATTENTION)
            named = {role: place for role, place in named.items() if role not in ATTENTION}
        layer_name = f"Layer {number} ({layer_path})"
        mixture = mixture_places(layer_name, layer, roles, named)
        projections += _of_mixture(number, layer_path, layer, mixture, fused)
        roles = tuple(name for name in roles if name not in {*mixture.roles, *MIXTURE})
        named = {role: place for role, place in named.items() if role not in MIXTURE}
        places = _places(layer_name, layer, roles, named)
        columns = fused.columns(layer_path, layer, places)
        projections += [
            Projection(
                layer=number,
                name=name,
                path=f"{layer_path}.{places[name]}",
                module=layer.get_submodule(places[name]),
                columns=columns[name],
                layer_type=layer_type if name in ATTENTION else None,
            )
            for name in roles
        ]
    if left_out and set(names) & set(ATTENTION):
        message = "%d of %d layers have no softmax attention, and no q, k, v and o: %s"
        _log.info(message, len(left_out), len(layers), ", ".join(map(str, left_out)))
    require_mixture(names, {projection.name for projection in projections})
    return [_with_heads(model, p) for p in projections] if heads else projections


def _with_heads(model: Any, projection: Projection) -> Projection:
    """A projection with its number of heads, if it belongs to an attention."""
    if projection.name not in ATTENTION:
        return projection
    module: Any = projection.module
    # Linear and GPT-2's Conv1D name their widths differently.
    names = ("in_features", "nx") if projection.name == "o" else ("out_features", "nf")
    width = next((getattr(module, name) for name in names if hasattr(module, name)), None)
    if width is not None and projection.name != "o":
        width = projection.columns.take(torch.empty(width)).shape[-1]
    heads = count_heads(model, projection.name, width, projection.path)
    return replace(projection, heads=heads)


def _of_mixture(
    number: int,
    layer_path: str,
    layer: nn.Module,
    mixture: MixturePlaces,
    fused: _FusedLayers,
) -> list[Projection]:
    """The projections of a layer that only mixtures have, and those of its experts."""
    shared = fused.columns(layer_path, layer, mixture.shared)
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


def _decoder_layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """Return the path and list of the decoder layers; raises ModelError without one."""
    lists = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and len(module) > 0
        and all(linear_layers(child) for child in module)
    }
    if not lists:
        raise ModelError(
            "This model has no list of layers that contain linear layers: use a decoder."
        )
    layers = _configured_layers(model)

    def rank(entry: tuple[str, nn.ModuleList]) -> tuple[bool, bool, int, int]:
        name, module = entry
        # Lists of experts are inside a decoder layer.
        outermost = not any(name.startswith(f"{other}.") for other in lists)
        return outermost, len(module) == layers, len(module), -len(name)

    return max(lists.items(), key=rank)


def _configured_layers(model: Any) -> int | None:
    """Return the number of decoder layers in the configuration, or None if unspecified."""
    if not hasattr(model, "config"):
        return None
    return getattr(model.config.get_text_config(), "num_hidden_layers", None)


def _has_attention(layer: nn.Module, named: Mapping[str, str]) -> bool:
    """Whether a layer has all projections of an attention, under known names or as named."""
    linears = linear_layers(layer)
    given = {role: place for role, place in named.items() if role in ATTENTION}
    return set(given.values()) <= set(linears) and bool(attention_places(linears, given))


def _places(
    layer_name: str, layer: nn.Module, names: tuple[str, ...], named: Mapping[str, str]
) -> Places:
    """Return the module of each role in one layer; raises ModelError if a role is missing."""
    linears = linear_layers(layer)
    for role, place in named.items():
        if place not in linears:
            raise ModelError(
                f"{layer_name} has no linear layer {place!r}, as named for {role}: "
                f"{nearest(place, list(linears))}"
            )
    places: Places = {}
    if set(names) & set(ATTENTION):
        places |= attention_places(linears, named)
    if set(names) & set(MLP):
        places |= mlp_places(linears, named)
    missing = [name for name in names if name not in places]
    if missing == ["gate"] and "up" in places:
        raise ModelError(
            f"{layer_name} has an MLP without a gate ({places['up']}, {places['down']}): remove "
            "gate from `projections`; up and down are supported."
        )
    if missing:
        raise ModelError(
            f"{layer_name} has no projection {', '.join(missing)} under a known name; its linear "
            f"layers are {_listing(linears)}: {NAMING}"
        )
    return places


def _listing(linears: Mapping[str, nn.Module], most: int = 30) -> str:
    """List linear layers with their shapes, up to ``most``."""
    shown = [f"{name} {weight_shape(module)}" for name, module in linears.items()]
    more = [f"{len(shown) - most} more"] if len(shown) > most else []
    return ", ".join(shown[:most] + more) or "none"


class _FusedLayers:
    """Splits layers that hold several projections; probes layers of equal shapes once."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._layouts: dict[tuple[Any, ...], ColumnLayout | None] = {}

    def columns(self, layer_path: str, layer: nn.Module, places: Places) -> ColumnLayout:
        """Return the columns of each role in one decoder layer; raises ModelError."""
        columns = dict.fromkeys(places, OutputColumns())
        for place in dict.fromkeys(places.values()):
            roles = tuple(role for role in places if places[role] == place)
            if len(roles) > 1:
                columns |= self._layout(layer_path, layer, places, roles)
        return columns

    def _layout(
        self, layer_path: str, layer: nn.Module, places: Places, roles: tuple[str, ...]
    ) -> ColumnLayout:
        path = f"{layer_path}.{places[roles[0]]}"
        together = {("q", "k", "v"): "o", ("gate", "up"): "down"}
        readers = [reader for parts, reader in together.items() if set(roles) <= set(parts)]
        if not readers:
            raise ModelError(
                f"{path} is named for {' and '.join(roles)}, which are never in one layer: correct "
                "`layer_names`."
            )
        fused, reader = (layer.get_submodule(places[role]) for role in (roles[0], *readers))
        key = (roles, places[roles[0]], weight_shape(fused), weight_shape(reader))
        if key not in self._layouts:
            probe = probe_gate if "gate" in roles else probe_attention
            self._layouts[key] = probe(self._model, fused, reader, roles)
        layout = self._layouts[key]
        if layout is None:
            raise ModelError(
                f"{path} {weight_shape(fused)} holds {', '.join(roles)} neither side by side nor "
                "group by group, or is not part of a causal attention or gated MLP: remove them "
                f"from `projections`, or {NAMING}"
            )
        return layout
