"""Run passes through a model in training, and change nothing of the training.

The passes themselves freeze the weights, so no gradient buffer changes, and set evaluation mode,
module by module (see ``passes.factors.frozen``). Here is the rest: the states of all random number
generators, autocast, compiled modules, the precision of matrix products, and forwards that were
replaced for the training.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from gradpipe.gradients.passes.replaced_forward import replaced_forwards
from gradpipe.models.devices import input_device


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """While open, ``model`` computes as if it were loaded alone; the training resumes unchanged.

    Passes run in the precision of the weights, outside of autocast, without compiled code and, on
    a GPU, without TF32.
    """
    with ExitStack() as stack:
        stack.enter_context(kept_random_states())
        stack.enter_context(torch.autocast(input_device(model).type, enabled=False))
        # Compiled code may skip hooks that are added later, and would be compiled again for them.
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(_without_tf32())
        stack.enter_context(replaced_forwards(_own_forwards(model)))
        yield


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Restore the states of Python's, NumPy's and torch's random number generators on exit."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    # Asking for the states would initialize CUDA.
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if mps is not None:
            torch.mps.set_rng_state(mps)


@contextmanager
def _without_tf32() -> Iterator[None]:
    products: Any = torch.backends.cuda.matmul
    setting = products.fp32_precision if torch.cuda.is_available() else "none"
    if setting in {"none", "ieee"}:
        yield
        return
    products.fp32_precision = "ieee"
    try:
        yield
    finally:
        products.fp32_precision = setting


def _own_forwards(model: nn.Module) -> dict[nn.Module, Callable[..., Any]]:
    """The forwards that the classes of whole models define, where instances have another one.

    Mixed precision wraps the forward of the trained model into autocast, and TRL replaces it by one
    that may return no logits. Forwards with hooks that move offloaded weights stay.
    """
    return {
        module: type(module).forward.__get__(module)
        for module in model.modules()
        if isinstance(module, PreTrainedModel)
        and "forward" in vars(module)
        and not hasattr(module, "_hf_hook")
    }
