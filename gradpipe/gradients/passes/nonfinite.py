"""Where a row's numbers stop being finite: what its reason says beside what is wrong with it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.devices import input_device

#: Numbers of a weight that are looked at together: the look makes copies.
CHECKED_AT_ONCE = 2**24


class FaultFinder:
    """Looks for the cause of losses and gradients that are not finite; costs nothing before.

    A row that is not finite goes through the model once more, without a graph and by itself, up to
    the first module whose output is not finite. The head's weights are looked at once.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def origin(self, row: TokenRow, loss: float) -> str | None:
        """Where the forward pass of a row is first not finite, as a clause; None where it is not.

        Attention takes scores that are not finite for none: a gradient may be all that shows them.
        """
        path = _first_module(self.model, row.ids)
        if path is None:
            return self.of_head or (None if math.isfinite(loss) else "the logits are not finite")
        module = self.model.get_submodule(path)
        weight = _broken_weight(module, f"{path}." if path else "", recurse=False)
        return weight or f"what {path or 'the model'} computes is not finite"

    @cached_property
    def of_head(self) -> str | None:
        """The head's weight that is not finite, as a clause; None where all are.

        One that makes a word impossible leaves the loss as it is, and no gradient.
        """
        head = _head(self.model)
        path = next((path for path, module in self.model.named_modules() if module is head), "")
        return _broken_weight(head, f"{path}.", recurse=False) if head is not None else None


def broken_weight(model: nn.Module) -> str | None:
    """The first weight of a model that is not finite, as a clause; None where all are.

    Weights that are on the disk are not looked at.
    """
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
    """Ends a forward pass: at the module of this path, or where there is no more to see."""

    def __init__(self, path: str | None) -> None:
        super().__init__(path)
        self.path = path


def _first_module(model: Any, ids: list[int]) -> str | None:
    """The path of the first module before the head to give what is not finite; None: none does."""

    def look(path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if any(not bool(torch.isfinite(each).all()) for each in _floats(output)):
                raise _PassEndError(path)

        return hook

    def stop(_module: nn.Module, _inputs: Any) -> None:
        # A long text's logits, all at once, may not fit.
        raise _PassEndError(None)

    head = _head(model)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for path, module in model.named_modules():
            stack.callback(module.register_forward_hook(look(path)).remove)
        if head is not None:
            stack.callback(head.register_forward_pre_hook(stop).remove)
        # Layers that are computed twice say that there is no graph.
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        try:
            model(input_ids=torch.tensor([ids], device=input_device(model)), use_cache=False)
        except _PassEndError as end:
            return end.path
    return None


def _head(model: Any) -> Any:
    return model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None


def _floats(output: Any) -> Iterator[Tensor]:
    """The tensors of floats that a module gives, alone or in a tuple."""
    for each in output if isinstance(output, tuple) else (output,):
        if isinstance(each, torch.Tensor) and each.is_floating_point():
            yield each
