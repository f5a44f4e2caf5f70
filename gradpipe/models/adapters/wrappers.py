"""See through the layers in which an adapter wraps a model's own, without importing peft.

An adapter's wrapper computes y = x Wᵀ + b with the merged weight W, for a LoRA W₀ + s·B·A and for a
DoRA m·(W₀ + s·B·A) / ‖W₀ + s·B·A‖ with one norm per output. So the gradient at W is DᵀX, with the
inputs X of the wrapper and the gradient D at its outputs, and W itself is never needed. The factors
A and B are linear layers of their own inside the wrapper. The norms of a DoRA are constants in its
training, and so in the gradients at its factors.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from gradpipe.errors import ModelError


def is_wrapper(module: nn.Module) -> bool:
    """Return whether a module of peft wraps one of the model's own modules."""
    return _is_of_peft(module) and _inner(module) is not None


def innermost(module: Any) -> Any:
    """Return the model's own module inside any wrappers."""
    while _is_of_peft(module) and (inner := _inner(module)) is not None:
        module = inner
    return module


def outside_wrappers(block: nn.Module) -> dict[str, nn.Module]:
    """Return the modules of a block by path, without those inside the wrapper of a single layer.

    Of a block that was trained whole, in a copy beside the original, only the copy counts.
    """
    hidden: list[str] = []
    modules = {}
    for path, module in block.named_modules():
        if any(path.startswith(prefix) for prefix in hidden):
            continue
        modules[path] = module
        if is_wrapper(module):
            inside = f"{path}." if path else ""
            single = not any(innermost(module).children())
            hidden.append(inside if single else f"{inside}original_module")
    return modules


def without_shell(model: Any) -> Any:
    """Return the transformers model inside a PeftModel, with the adapter's wrappers in place."""
    return model.get_base_model() if hasattr(model, "peft_config") and _is_of_peft(model) else model


def factors_of(path: str, wrapper: Any) -> dict[str, tuple[str, nn.Module]]:
    """Return the factors of a wrapped layer by name, ``lora_a`` and ``lora_b``: path and module.

    Empty for a layer without factors. Raises ModelError if they do not act, or if there are several
    pairs of them.
    """
    pairs = getattr(wrapper, "lora_A", None)
    if not is_wrapper(wrapper) or not pairs:
        return {}
    active = [adapter for adapter in wrapper.active_adapters if adapter in pairs]
    if wrapper.disable_adapters or wrapper.merged or not active:
        raise ModelError(
            f"The factors of {path} do not act on its outputs, since the adapter is disabled, "
            "inactive or merged: activate it with set_adapter() and unmerge_adapter(), or measure "
            "the merged weights (`adapter: merged`)."
        )
    if len(active) > 1:
        raise ModelError(
            f"{path} has several active adapters ({', '.join(active)}): activate one with "
            "set_adapter(), or measure the merged weights (`adapter: merged`)."
        )
    [adapter] = active
    return {
        "lora_a": (f"{path}.lora_A.{adapter}", wrapper.lora_A[adapter]),
        "lora_b": (f"{path}.lora_B.{adapter}", wrapper.lora_B[adapter]),
    }


def refuse_wrappers(name: str, model: Any) -> None:
    """Raise ModelError for a model in memory whose adapter is not a change of weight matrices."""
    for settings in getattr(model, "peft_config", {}).values():
        kind = str(getattr(settings.peft_type, "value", settings.peft_type))
        if settings.is_prompt_learning or settings.is_adaption_prompt or kind in {"XLORA", "POLY"}:
            raise ModelError(
                f"{name} carries an adapter of the kind {kind}, which is not a change of weight "
                "matrices: remove it with unload(), or use a LoRA."
            )
        for setting in ("alora_invocation_tokens", "arrow_config", "monteclora_config"):
            if getattr(settings, setting, None):
                raise ModelError(
                    f"{name} carries an adapter with the setting {setting!r}, which changes each "
                    "token in another way: remove it with unload()."
                )


def _inner(module: Any) -> Any:
    inner = getattr(module, "base_layer", None)
    return inner if isinstance(inner, nn.Module) else _original(module)


def _original(module: Any) -> Any:
    return vars(module).get("_modules", {}).get("original_module")


def _is_of_peft(module: Any) -> bool:
    return any(kind.__module__.startswith("peft.") for kind in type(module).__mro__)
