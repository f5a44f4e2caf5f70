"""Finding a model's projections by its structure: which linear layers sit where.

Nothing here looks at a model's name or type. Decoder layers are the longest list of alike blocks;
in each, the attention is the submodule that holds the linear layers in the roles of Q, K, V and O,
the MLP the one that holds gate, up and down. A layer with several roles is split by the effect of
its columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from gradpipe.errors import ModelError, nearest
from gradpipe.models.layouts import ColumnLayout, OutputColumns
from gradpipe.models.places import (
    attention_places,
    linear_layers,
    mlp_places,
    routed_experts,
    weight_shape,
)
from gradpipe.models.probe import probe_attention, probe_gate
from gradpipe.models.roles import ATTENTION, MLP, Places

#: End of a sentence that explains how to name an unknown model's layers.
NAMING = (
    "say which is which with `layer_names` in the study, as {q: attn.wq, k: attn.wk, ...}, or with "
    "--layer-name q=attn.wq (one layer that holds several is named for each)."
)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """One projection of one layer: the module that computes it and the columns of its outputs."""

    layer: int
    name: str
    path: str
    module: nn.Module
    columns: OutputColumns = field(default_factory=OutputColumns)


def find_projections(
    model: nn.Module,
    names: tuple[str, ...] = ATTENTION,
    layer_names: Mapping[str, str] | None = None,
) -> list[Projection]:
    """Every named projection of every layer, in layer order.

    ``names`` are roles: q, k, v, o, gate, up, down. ``layer_names`` gives the path inside a decoder
    layer of the module in a role, where it is not what implementations usually call it; a module
    that is named for several holds them all. Passes run through the model only for such
    modules, and it is restored afterwards. Raises ModelError, listing the linear layers, if a
    projection is missing or a layer cannot be split.
    """
    path, layers = _decoder_layers(model)
    fused = _FusedLayers(model)
    found: list[Projection] = []
    for number, layer in enumerate(layers):
        where = f"{path}.{number}"
        places = _places(f"Layer {number} ({where})", layer, names, layer_names or {})
        columns = fused.columns(where, layer, places)
        found += [
            Projection(
                layer=number,
                name=name,
                path=f"{where}.{places[name]}",
                module=layer.get_submodule(places[name]),
                columns=columns[name],
            )
            for name in names
        ]
    return found


def _decoder_layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    lists = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and len(module) > 0
        and all(linear_layers(child) for child in module)
    }
    if not lists:
        raise ModelError(
            "This model has no list of layers with linear layers in them: is it a decoder?"
        )
    layers = _configured_layers(model)

    def rank(entry: tuple[str, nn.ModuleList]) -> tuple[bool, bool, int, int]:
        name, module = entry
        # A mixture's experts sit inside a layer.
        outermost = not any(name.startswith(f"{other}.") for other in lists)
        return outermost, len(module) == layers, len(module), -len(name)

    return max(lists.items(), key=rank)


def _configured_layers(model: Any) -> int | None:
    """How many layers the configuration says that the text's decoder has; None where it is mute."""
    if not hasattr(model, "config"):
        return None
    return getattr(model.config.get_text_config(), "num_hidden_layers", None)


def _places(
    called: str, layer: nn.Module, names: tuple[str, ...], named: Mapping[str, str]
) -> Places:
    """Return the module of each role in one layer; raises ModelError if a role is missing."""
    linears = linear_layers(layer)
    for role, place in named.items():
        if place not in linears:
            raise ModelError(
                f"{called} has no linear layer {place!r}, which is named as its {role}: "
                f"{nearest(place, list(linears))}"
            )
    places: Places = {}
    if set(names) & set(ATTENTION):
        places |= attention_places(linears, named)
    if asked := [name for name in names if name in MLP]:
        experts = routed_experts(layer)
        if experts and not set(asked) & set(named):
            raise ModelError(
                f"{called} sends each token to a few of its experts ({experts}), so that none sees "
                f"a whole text: leave {', '.join(asked)} out of `projections`, or name the layers "
                "of an expert that every token passes in `layer_names`."
            )
        places |= mlp_places(linears, named)
    missing = [name for name in names if name not in places]
    if missing == ["gate"] and "up" in places:
        raise ModelError(
            f"{called} has an MLP without a gate ({places['up']}, {places['down']}): leave gate "
            "out of `projections`, up and down can be taken."
        )
    if missing:
        raise ModelError(
            f"{called} has no projection {', '.join(missing)} that gradpipe can tell, its linear "
            f"layers being {_listing(linears)}: {NAMING}"
        )
    return places


def _listing(linears: Mapping[str, nn.Module], most: int = 30) -> str:
    """What linear layers there are, with their shapes; of very many, the first."""
    shown = [f"{name} {weight_shape(module)}" for name, module in linears.items()]
    more = [f"{len(shown) - most} more"] if len(shown) > most else []
    return ", ".join(shown[:most] + more) or "none"


class _FusedLayers:
    """Takes layers that hold several projections apart; alike ones only once a model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._layouts: dict[tuple[Any, ...], ColumnLayout | None] = {}

    def columns(self, where: str, layer: nn.Module, places: Places) -> ColumnLayout:
        """The columns of each role in one decoder layer; raises ModelError."""
        columns = dict.fromkeys(places, OutputColumns())
        for place in dict.fromkeys(places.values()):
            roles = tuple(role for role in places if places[role] == place)
            if len(roles) > 1:
                columns |= self._layout(where, layer, places, roles)
        return columns

    def _layout(
        self, where: str, layer: nn.Module, places: Places, roles: tuple[str, ...]
    ) -> ColumnLayout:
        path = f"{where}.{places[roles[0]]}"
        together = {("q", "k", "v"): "o", ("gate", "up"): "down"}
        readers = [reader for parts, reader in together.items() if set(roles) <= set(parts)]
        if not readers:
            raise ModelError(
                f"{path} is named as {' and '.join(roles)}, which no layer holds together: correct "
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
                "group by group, or is no part of a causal attention or gated MLP: leave them out "
                f"of `projections`, or {NAMING}"
            )
        return layout
