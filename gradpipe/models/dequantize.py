"""Load quantized weights as plain ones, by the libraries that quantized them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
import transformers
from torch import nn

from gradpipe.models.quantization import (
    DEQUANTIZERS,
    SETTINGS,
    quantization_method,
    quantization_settings,
)


def dequantizing_settings(config: Any, device: str) -> dict[str, Any]:
    """Return the arguments for from_pretrained that dequantize weights while they are loaded.

    ``device`` is used without a device map.
    """
    settings = quantization_settings(config)
    method = quantization_method(settings) if settings is not None else ""
    kind = DEQUANTIZERS[method].while_loading if method in DEQUANTIZERS else None
    if kind is None:
        return {}
    # transformers would load weights for Apple's accelerator on no other device by default.
    place = {"device_map": device} if method == "metal" else {}
    return {"quantization_config": getattr(transformers, kind)(dequantize=True), **place}


def dequantized(model: Any, dtype: torch.dtype, settings: Mapping[str, Any]) -> Any:
    """Return a model with plain weights of ``dtype``; ``settings`` are those of its stored weights.

    Raises what the method's library raises, and ValueError if weights are still quantized.
    """
    method = quantization_method(settings)
    if method == "bitsandbytes":
        model = _dequantized_by_bitsandbytes(model, dtype)
    elif method in {"gptq", "awq"}:
        _replace_packed_layers(model, dtype)
    _forget_settings(model)
    _cast(model, dtype)
    return model


def _dequantized_by_bitsandbytes(model: Any, dtype: torch.dtype) -> Any:
    """Dequantize layers of 4 or 8 bits.

    On a CPU, release 0.50 misreads 4-bit weights whose rows are not a whole number of blocks. The
    blocks of a weight follow one another, so it is decoded with one block per row, and reshaped.
    """
    reshaped = {}
    for path, module in model.named_modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is None or state.shape[-1] % state.blocksize == 0:
            continue
        shape = tuple(state.shape)
        if prod(shape) % state.blocksize:
            raise ValueError(f"{path} of the shape {shape} cannot be divided into whole blocks")
        reshaped[path] = shape
        state.shape = torch.Size((prod(shape) // state.blocksize, state.blocksize))
    model = model.dequantize(dtype)
    for path, shape in reshaped.items():
        layer = model.get_submodule(path)
        layer.weight = nn.Parameter(layer.weight.detach().view(shape), requires_grad=False)
    return model


def _replace_packed_layers(model: nn.Module, dtype: torch.dtype) -> None:
    """Replace the layers of gptqmodel, which have a ``dequantize_weight``, by plain ones."""
    packed = [
        (path, module)
        for path, module in model.named_modules()
        if callable(getattr(module, "dequantize_weight", None))
    ]
    for path, module in packed:
        model.set_submodule(path, plain_layer(module, dtype))


def plain_layer(packed: Any, dtype: torch.dtype) -> nn.Linear:
    """Return the plain layer of a packed one, whose dequantized weight is [d_in, d_out]."""
    weight = packed.dequantize_weight().T.to(dtype).contiguous()
    bias = getattr(packed, "bias", None)
    with torch.device("meta"):
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().to(dtype), requires_grad=False)
    return layer


def _cast(model: Any, dtype: torch.dtype) -> None:
    """Cast weights to ``dtype``: transformers leaves some of them in the precision of the file.

    Weights that a model always keeps in float32 stay so. Raises ValueError for quantized weights.
    """
    kept = {
        part
        for names in (model._keep_in_fp32_modules, model._keep_in_fp32_modules_strict)
        for part in names or ()
    }
    for name, weight in model.named_parameters():
        if not weight.is_floating_point() or weight.element_size() < 2:
            raise ValueError(f"{name} is still quantized")
        wanted = torch.float32 if any(part in name for part in kept) else dtype
        if weight.dtype != wanted and weight.device.type != "meta":
            weight.data = weight.data.to(wanted)


def _forget_settings(model: Any) -> None:
    """Remove what says that the weights are quantized."""
    for config in (model.config, model.config.get_text_config()):
        for key in SETTINGS:
            vars(config).pop(key, None)
