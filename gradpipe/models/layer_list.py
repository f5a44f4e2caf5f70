"""Find the list of decoder layers in a model of any structure."""

from __future__ import annotations

from typing import Any

from torch import nn

from gradpipe.errors import ModelError
from gradpipe.models.layer_types import text_config
from gradpipe.models.places import linear_layers


def layer_list(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """Return the path and list of a model's decoder layers; raises ModelError without one.

    It is the longest list of blocks with linear layers, preferably one as long as configured,
    inside the text decoder. Some blocks, such as identities, may have no linear layers.
    """
    decoder = text_decoder(model)
    for part in (decoder, model):
        inside = set(map(id, part.modules()))
        lists = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, nn.ModuleList)
            and id(module) in inside
            and any(map(linear_layers, module))
        }
        if lists:
            break
    else:
        raise ModelError(
            "This model has no list of layers that contain linear layers: use a decoder."
        )
    layers = _configured_layers(model)

    def rank(entry: tuple[str, nn.ModuleList]) -> tuple[bool, bool, bool, int, int]:
        name, module = entry
        # Lists of experts are inside a decoder layer.
        outermost = not any(name.startswith(f"{other}.") for other in lists)
        whole = all(map(linear_layers, module))
        return outermost, len(module) == layers, whole, len(module), -len(name)

    return max(lists.items(), key=rank)


def text_decoder(model: Any) -> nn.Module:
    """Return the part of a model that computes text, or the whole model if it does not say."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    return decoder if isinstance(decoder, nn.Module) else model


def _configured_layers(model: Any) -> int | None:
    """Return the number of decoder layers in the configuration, or None if unspecified."""
    return getattr(text_config(model), "num_hidden_layers", None)
