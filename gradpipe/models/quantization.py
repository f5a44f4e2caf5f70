"""How a model's stored weights are quantized, and what dequantizes them on this machine.

Gradients need weights of 16 or 32 bits, so the weights are dequantized while, or right after, they
are loaded. A gradient is then one at the dequantized weight.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradpipe.errors import ModelError

#: The keys of a configuration that describe quantized weights.
SETTINGS = ("quantization_config", "compression_config")
_ALTERNATIVE = "use the model that it was made from, or a .gguf file of it."


@dataclass(frozen=True, kw_only=True)
class Dequantizer:
    """What dequantizes the weights of one method.

    ``while_loading`` is the class of transformers whose setting ``dequantize`` does it; without one
    it is done after loading. ``packages`` are the import names of the libraries that are needed.
    """

    while_loading: str | None = None
    packages: tuple[str, ...] = ()


#: By the name of a method in configurations.
DEQUANTIZERS = {
    "fp8": Dequantizer(while_loading="FineGrainedFP8Config"),
    "mxfp8": Dequantizer(while_loading="FineGrainedFP8Config"),
    "mxfp4": Dequantizer(while_loading="Mxfp4Config"),
    "metal": Dequantizer(while_loading="MetalConfig"),
    "compressed-tensors": Dequantizer(
        while_loading="CompressedTensorsConfig", packages=("compressed_tensors",)
    ),
    "bitsandbytes": Dequantizer(packages=("bitsandbytes",)),
    "gptq": Dequantizer(packages=("optimum", "gptqmodel")),
    "awq": Dequantizer(packages=("gptqmodel",)),
}


def quantization_settings(config: Any) -> dict[str, Any] | None:
    """Return the settings of quantized weights in a configuration of transformers, or None."""
    for part in (config, config.get_text_config()):
        for key in SETTINGS:
            if settings := getattr(part, key, None):
                return dict(settings if isinstance(settings, dict) else vars(settings))
    return None


def quantization_method(settings: Mapping[str, Any]) -> str:
    """Return the name of the method in the settings of quantized weights."""
    method = settings.get("quant_method") or "bitsandbytes"
    return str(getattr(method, "value", method))


def refuse_quantization(name: str, settings: Mapping[str, Any]) -> None:
    """Raise ModelError for weights that nothing dequantizes here, before they are read."""
    method = quantization_method(settings)
    dequantizer = DEQUANTIZERS.get(method)
    if dequantizer is None:
        raise ModelError(
            f"The weights of {name!r} are quantized ({method}), and no library that gradpipe uses "
            f"dequantizes them: {_ALTERNATIVE}"
        )
    missing = [package for package in dequantizer.packages if not _is_installed(package)]
    if missing:
        raise ModelError(
            f"The weights of {name!r} are quantized ({method}), and {' and '.join(missing)}, which "
            f"dequantizes them, is not installed: pip install {' '.join(map(_package, missing))}, "
            f"or {_ALTERNATIVE}"
        )


def refuse_quantized_model(name: str, settings: Mapping[str, Any]) -> None:
    """Raise ModelError for a model in memory whose layers compute with rounded activations too.

    Layers of bitsandbytes with 4 bits multiply by the dequantized weight, so the gradients of their
    inputs and outputs are those of a plain layer.
    """
    method = quantization_method(settings)
    if method != "bitsandbytes" or settings.get("load_in_8bit") or settings.get("_load_in_8bit"):
        raise ModelError(
            f"The weights of {name} are quantized ({method}): call model.dequantize(), or load it "
            "with gradpipe.load_model, which dequantizes what it can."
        )


def quantization_note(settings: Mapping[str, Any]) -> str:
    """Return a sentence on quantized weights, for the log and the report."""
    method = quantization_method(settings)
    kind = settings.get("bnb_4bit_quant_type") if settings.get("load_in_4bit") else None
    eight = "8-bit" if settings.get("load_in_8bit") else None
    four = "4-bit" if settings.get("load_in_4bit") else None
    bits = f"{settings['bits']}-bit" if isinstance(settings.get("bits"), int) else None
    details = " ".join(filter(None, (eight, four, bits, kind, settings.get("format"))))
    stored = f"{method} ({details})" if details else method
    return f"The weights are stored in {stored}; gradients are those at the dequantized weights."


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _package(module: str) -> str:
    return module.replace("_", "-")
