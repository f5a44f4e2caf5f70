"""Replace the forward methods of modules for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def replaced_forwards(replacements: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """While open, each module computes its replacement; hooks on the module still run.

    Restores the modules on exit, also after an exception. May be nested if the inner block ends
    first. A forward that was set on the instance, as accelerate's hooks do, is kept and put back.
    """
    own = {module: vars(module)["forward"] for module in replacements if "forward" in vars(module)}
    try:
        for module, forward in replacements.items():
            # On the instance, where nn.Module.__call__ finds it between the hooks.
            module.forward = forward
        yield
    finally:
        for module in replacements:
            if module in own:
                module.forward = own[module]
            else:
                vars(module).pop("forward", None)
