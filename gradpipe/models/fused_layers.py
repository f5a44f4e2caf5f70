"""Split linear layers that hold several projections."""

from __future__ import annotations

from typing import Any

from torch import nn

from gradpipe.errors import ModelError
from gradpipe.models.latent_attention import columns_by_head
from gradpipe.models.layer_places import NAMING
from gradpipe.models.layouts import ColumnLayout, OutputColumns
from gradpipe.models.places import weight_shape
from gradpipe.models.probe import probe_attention, probe_gate
from gradpipe.models.roles import LATENT, Places


class FusedLayers:
    """Splits layers that hold several projections; probes layers of equal shapes once."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._layouts: dict[tuple[Any, ...], ColumnLayout | None] = {}

    def columns(
        self, layer_path: str, layer: nn.Module, places: Places, names: tuple[str, ...]
    ) -> ColumnLayout:
        """Return the columns of each of the roles ``names`` in one decoder layer.

        ``places`` may have more roles, which a fused layer holds too. Raises ModelError.
        """
        columns = dict.fromkeys(places, OutputColumns())
        # The factors of a latent attention are whole layers.
        parts = {role: place for role, place in places.items() if role not in LATENT}
        for place in {places[name]: None for name in names if name in parts}:
            roles = tuple(role for role in parts if parts[role] == place)
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
        if readers[0] not in places:
            raise ModelError(
                f"{path} holds {', '.join(roles)}, and the layer that reads its outputs is needed "
                f"to split it: name it for {readers[0]} in `layer_names`, or with --layer-name."
            )
        fused, reader = (layer.get_submodule(places[role]) for role in (roles[0], *readers))
        key = (roles, places[roles[0]], weight_shape(fused), weight_shape(reader))
        if key not in self._layouts:
            probe = probe_gate if "gate" in roles else probe_attention
            self._layouts[key] = probe(self._model, fused, reader, roles)
            if self._layouts[key] is None and set(roles) == {"k", "v"}:
                attention = layer.get_submodule(places[roles[0]].rpartition(".")[0])
                self._layouts[key] = columns_by_head(attention, weight_shape(fused)[0])
        layout = self._layouts[key]
        if layout is None:
            raise ModelError(
                f"{path} {weight_shape(fused)} holds {', '.join(roles)} neither side by side nor "
                "group by group, or is not part of a causal attention or gated MLP: remove them "
                f"from `projections`, or {NAMING}"
            )
        return layout
