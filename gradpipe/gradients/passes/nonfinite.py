"""Find where non-finite values of a row first occur, for the row's ``reason``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from gradpipe.gradients.passes.text_call import text_call
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.devices import input_device

#: Elements of a weight that are checked at once, since the check makes copies.
CHECKED_AT_ONCE = 2**24


class FaultFinder:
    """Finds the cause of non-finite losses and gradients; does nothing until asked.

    A non-finite row is run through the model again, alone and without a graph, up to the first
    module with a non-finite output. The head's weights are checked once.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def origin(self, row: TokenRow, loss: float) -> str | None:
        """Return a clause on where a row's forward pass is first non-finite; None if unknown.

        Attention treats non-finite scores as masked, so they may show in gradients only.
        """
        path = _first_module(self.model, row)
        if path is None:
            return self.broken_head or (
                None if math.isfinite(loss) else "the logits are not finite"
            )
        module = self.model.get_submodule(path)
        weight = _broken_weight(module, f"{path}." if path else "", recurse=False)
        return weight or f"the output of {path or 'the model'} is not finite"

    @cached_property
    def broken_head(self) -> str | None:
        """A clause on the head's first non-finite weight, or None.

        A weight that makes a token impossible leaves the loss finite, but not the gradients.
        """
        head = _head(self.model)
        path = next((path for path, module in self.model.named_modules() if module is head), "")
        return _broken_weight(head, f"{path}.", recurse=False) if head is not None else None


def broken_weight(model: nn.Module) -> str | None:
    """Return a clause on a model's first non-finite weight, or None; skips offloaded weights."""
    return _broken_weight(model, "", recurse=True)


def _broken_weight(module: nn.Module, prefix: str, recurse: bool) -> str | None:
    for name, weight in module.named_parameters(recurse=recurse):
        if weight.device.type == "meta" or not weight.is_floating_point():
            continue
        parts = weight.detach().reshape(-1).split(CHECKED_AT_ONCE)
        broken = sum(int((~torch.isfinite(part)).sum()) for part in parts)
        if broken:
            return f"{broken} of {weight.numel()} numbers in {prefix}{name} are not finite"
    return None


class _PassEndError(Exception):
    """Ends a forward pass, at the module of this path or, without one, before the head."""

    def __init__(self, path: str | None) -> None:
        super().__init__(path)
        self.path = path


def _first_module(model: Any, row: TokenRow) -> str | None:
    """Return the path of the first module before the head with a non-finite output, or None."""

    def check_output(path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if any(not bool(torch.isfinite(tensor).all()) for tensor in _float_tensors(output)):
                raise _PassEndError(path)

        return hook

    def stop(_module: nn.Module, _inputs: Any) -> None:
        # The logits of a long text may not fit in memory.
        raise _PassEndError(None)

    head = _head(model)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for path, module in model.named_modules():
            stack.callback(module.register_forward_hook(check_output(path)).remove)
        if head is not None:
            stack.callback(head.register_forward_pre_hook(stop).remove)
        # Checkpointed layers warn that there is no graph.
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        try:
            ids = torch.tensor([row.ids], device=input_device(model))
            text_call(model, [row])(ids)
        except _PassEndError as end:
            return end.path
    return None


def _head(model: Any) -> Any:
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None


def _float_tensors(output: Any) -> Iterator[Tensor]:
    """Yield the floating-point tensors of a module's output, which may be a tuple."""
    for part in output if isinstance(output, tuple) else (output,):
        if isinstance(part, torch.Tensor) and part.is_floating_point():
            yield part
